"""Lines of text for a terminal: exactly as wide as asked, in the characters that it can show."""

from dataclasses import dataclass

from rich.text import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """The characters that a terminal can show."""

    discs: tuple[str, str]
    hole: str
    full: str
    empty: str
    levels: str
    on: str
    off: str
    rule: str
    dot: str
    more: str
    into: str
    out: str


UNICODE = Glyphs(
    discs=("●", "○"),
    hole="·",
    full="█",
    empty="░",
    levels="▁▂▃▄▅▆▇█",
    on="●",
    off="○",
    rule="─",
    dot="·",
    more="…",
    into="↓",
    out="↑",
)
PLAIN = Glyphs(
    discs=("X", "O"),
    hole=".",
    full="#",
    empty=".",
    levels="_.-~=+*#",
    on="*",
    off="o",
    rule="-",
    dot="|",
    more="~",
    into="<",
    out=">",
)


def rule(word: str, note: str, width: int, glyphs: Glyphs) -> Text:
    """Return a line across with a heading, and a note at its end."""
    line = Text(f"{glyphs.rule * 2} {word} ", "dim")
    tail = f" {note} " if note else ""
    line.append(glyphs.rule * max(width - len(line) - len(tail) - 2, 0))
    line.append(tail, "bold yellow not dim")
    return line.append(glyphs.rule * 2)


def clock(at_us: int) -> str:
    """Return the time of the day, UTC."""
    seconds = at_us // 1_000_000 % 86_400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def byte_count(count: float) -> str:
    """Return a number of bytes in at most five characters."""
    for unit in "BKMGT":
        if count < 999.5:
            return f"{count:.0f}{unit}" if count >= 9.95 or unit == "B" else f"{count:.1f}{unit}"
        count /= 1024
    return f"{count:.0f}P"


def printable(text: object) -> str:
    """Return a text from elsewhere without what would move the cursor or break the line."""
    return "".join(char if char.isprintable() else "?" for char in str(text))


def fit(text: Text, width: int, glyphs: Glyphs) -> Text:
    """Return the text at exactly that width."""
    fitted = text.copy()
    if fitted.cell_len > width:
        fitted.truncate(max(width - 1, 0))
        fitted.append(glyphs.more)
    fitted.pad_right(max(width - fitted.cell_len, 0))
    return fitted


def spread(left: Text, right: Text, width: int, glyphs: Glyphs) -> Text:
    """Return both texts, pushed apart; the left one gives way."""
    return fit(left, max(width - right.cell_len, 0), glyphs).append_text(right)
