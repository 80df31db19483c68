"""
Files of records: what `export` writes and `import` reads, in three formats.

JSON is an array of objects, NDJSON an object a line, CSV a header and a record a line.
A cell of CSV is JSON where it reads as that, and any other text is that text, as for `put`; so a
text that would read as JSON is written as JSON. An empty cell is a property that is not there, and
the id is always the text of its cell.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import IO, Any, NamedTuple

from syncline.doubles import loads
from synclined.cli.output import encode


class Format(StrEnum):
    """How a file holds records."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


ENDINGS = {
    ".json": Format.JSON,
    ".ndjson": Format.NDJSON,
    ".jsonl": Format.NDJSON,
    ".csv": Format.CSV,
}


class Read(NamedTuple):
    """
    A record of a file.

    Attributes:
        place: where it is, for people.
        problem: why it is none; empty when it is one.
    """

    place: str
    record: dict[str, Any]
    problem: str = ""


def format_of(name: str, start: bytes = b"") -> Format | None:
    """Return the format of a file by its name, else by how it starts; None for neither."""
    for ending, found in ENDINGS.items():
        if name.lower().endswith(ending):
            return found
    return {b"[": Format.JSON, b"{": Format.NDJSON}.get(start.removeprefix(BOM).lstrip()[:1])


BOM = b"\xef\xbb\xbf"


def read_dump(content: bytes, kind: Format, *, id_name: str, texts: bool) -> Iterator[Read]:
    """
    Yield what a file holds, one by one, also what is no record, with why.

    Args:
        id_name: the property with the id.
        texts: take every cell of CSV as the text that it is.
    """
    content = content.removeprefix(BOM)
    match kind:
        case Format.JSON:
            return _read_json(content)
        case Format.NDJSON:
            return _read_lines(content)
        case Format.CSV:
            return _read_csv(content, id_name, texts=texts)


def _read_json(content: bytes) -> Iterator[Read]:
    found, problem = _parsed(content)
    if problem or not isinstance(found, list):
        yield Read("the file", {}, problem or "this is no JSON array of objects")
        return
    for number, value in enumerate(found, 1):
        yield _object(f"record {number}", value)


def _read_lines(content: bytes) -> Iterator[Read]:
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        value, problem = _parsed(line)
        yield Read(f"line {number}", {}, problem) if problem else _object(f"line {number}", value)


def _parsed(text: bytes) -> tuple[Any, str]:
    try:
        return loads(text), ""
    except (ValueError, RecursionError) as error:
        return None, f"this is no JSON: {error}"


def _object(place: str, value: Any) -> Read:
    if isinstance(value, dict):
        return Read(place, value)
    return Read(place, {}, f"this is no JSON object, but {_text(value)[:40]}")


def _read_csv(content: bytes, id_name: str, *, texts: bool) -> Iterator[Read]:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        yield Read("the file", {}, f"this is no UTF-8: {error}")
        return
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next(rows, [])
        if not names or len(set(names)) < len(names) or "" in names:
            yield Read("line 1", {}, "this is no header: a name for each column, each once")
            return
        for row in rows:
            place = f"line {rows.line_num}"
            if len(row) > len(names):
                yield Read(place, {}, f"it has {len(row)} cells, the header {len(names)}")
            elif row:
                cells = zip(names, row, strict=False)
                yield Read(
                    place,
                    {
                        name: _value(name, cell, id_name, texts=texts)
                        for name, cell in cells
                        if cell
                    },
                )
    except csv.Error as error:
        yield Read(f"line {rows.line_num}", {}, f"this is no CSV: {error}")


def _value(name: str, cell: str, id_name: str, *, texts: bool) -> Any:
    if texts or name == id_name:
        return cell
    try:
        return loads(cell)
    except (ValueError, RecursionError):
        return cell


def write_dump(
    stream: IO[str], kind: Format, records: Iterable[Mapping[str, Any]], *, id_name: str
) -> int:
    """Write records, and return how many there were."""
    if kind is Format.CSV:
        return _write_csv(stream, list(records), id_name)
    count = 0
    for record in records:
        if kind is Format.JSON:
            stream.write(",\n" if count else "[\n")
        stream.write(_text(record))
        if kind is Format.NDJSON:
            stream.write("\n")
        count += 1
    if kind is Format.JSON:
        stream.write("\n]\n" if count else "[]\n")
    return count


def _write_csv(stream: IO[str], records: Sequence[Mapping[str, Any]], id_name: str) -> int:
    # The names of all: the first record need not have them all.
    names = list(dict.fromkeys([id_name, *(name for record in records for name in record)]))
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    for record in records:
        writer.writerow([_cell(name, record, id_name) for name in names])
    return len(records)


def _cell(name: str, record: Mapping[str, Any], id_name: str) -> str:
    if name not in record:
        return ""
    value = record[name]
    if not isinstance(value, str):
        return _text(value)
    if name == id_name or (value and _value("", value, id_name, texts=False) is value):
        return value
    return _text(value)


def _text(value: Any) -> str:
    text = encode(value)
    return text if isinstance(text, str) else text.decode()
