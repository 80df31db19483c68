"""Name things as LoopBack does: the plural in a path, the id of a change. Pure."""

import hashlib
import re
from collections.abc import Iterable


_IRREGULAR = {
    "person": "people",
    "child": "children",
    "man": "men",
    "woman": "women",
    "foot": "feet",
    "tooth": "teeth",
    "mouse": "mice",
    "goose": "geese",
    "ox": "oxen",
    "datum": "data",
    "medium": "media",
}
_UNCOUNTABLE = {"data", "equipment", "fish", "information", "media", "news", "series", "sheep"}
_RULES = (
    (re.compile(r"(quiz)$", re.IGNORECASE), r"\1zes"),
    (re.compile(r"(matr|vert|ind)(?:ix|ex)$", re.IGNORECASE), r"\1ices"),
    (re.compile(r"(x|ch|ss|sh)$", re.IGNORECASE), r"\1es"),
    (re.compile(r"([^aeiouy]|qu)y$", re.IGNORECASE), r"\1ies"),
    (re.compile(r"(hi|hai|ar|wol|l)f$", re.IGNORECASE), r"\1ves"),
    (re.compile(r"([^f])fe$", re.IGNORECASE), r"\1ves"),
    (re.compile(r"sis$", re.IGNORECASE), "ses"),
    (re.compile(r"(buffal|tomat|potat|her)o$", re.IGNORECASE), r"\1oes"),
    (re.compile(r"(bus|alias|status|virus)$", re.IGNORECASE), r"\1es"),
    (re.compile(r"s$", re.IGNORECASE), "s"),
    (re.compile(r"$"), "s"),
)


def plural_of(name: str) -> str:
    """Return the plural under which LoopBack serves a model; of an odd noun it may differ."""
    lower = name.lower()
    if lower in _UNCOUNTABLE:
        return name
    if lower in _IRREGULAR:
        plural = _IRREGULAR[lower]
        return plural.capitalize() if name[0].isupper() else plural
    for pattern, replacement in _RULES:
        if pattern.search(name):
            return pattern.sub(replacement, name, count=1)
    return name


def model_of(segment: str, names: Iterable[str]) -> str | None:
    """Return the model that a path's segment names, by its name or its plural; None for none."""
    known = list(names)
    if segment in known:
        return segment
    return next((name for name in known if plural_of(name) == segment), None)


def change_id(model: str, record_id: str) -> str:
    """Return the id of a record's change: SHA-1 of model name, dash, record id."""
    return hashlib.sha1(f"{model}-{record_id}".encode()).hexdigest()  # noqa: S324 - LoopBack's
