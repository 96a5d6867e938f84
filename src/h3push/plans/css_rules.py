"""The rules of a style sheet that are worth parsing, cut out of it without a parser.

Parsing CSS is slow, and most rules of a sheet name nothing. Cutting needs only brackets, strings, comments and escapes: a rule
ends where its block is closed and nothing else is open. A malformed sheet is not cut in the wrong place: an open bracket keeps
the rest together.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tinycss2.bytes import decode_stylesheet_bytes  # type: ignore[import-untyped]

PIECE = 2 * 1024
"""Characters of a style sheet that are parsed at a time: a millisecond or two."""

_TELLING = re.compile(r"url|font|(?<![\w-])--[\w-]+\s*:|@import|\\", re.IGNORECASE)
"""Occurs in every rule that names a file or a font family."""

_BRACKET = re.compile(
    r"""/\*.*?(?:\*/|\Z)  # a comment
    | "(?:\\.|[^"\\\n])*"?  | '(?:\\.|[^'\\\n])*'?  # a string
    | (?<![\w#@-])url\(\s*(?!["'\s])(?:\\.|[^\\)])*\)?  # a URL without quotes
    | (?:\\(?:[0-9a-f]{1,6}\s?|.)[\w-]*)+  # an escape, with the rest of its name
    | [(){}\[\]]""",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
"""A bracket, or something that a bracket in it does not count in: a comment, a string, a URL without quotes, an escape.

The name `url` written with escapes is not seen; then a sheet may be cut in the wrong place, and a resource is not pushed."""
_CLOSER = {"{": "}", "(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class TellingRules:
    """The rules of a style sheet that may name something: nearly always few, and all that has to be parsed."""

    pieces: tuple[str, ...]
    """In pieces of `PIECE` characters, or as few more as the last rule needs."""
    with_imports: bool
    """True when the first piece begins where the sheet does, with its imports."""

    @property
    def size(self) -> int:
        """Characters."""
        return sum(map(len, self.pieces))


def telling_rules(css: bytes | str) -> TellingRules:
    """The rules of a style sheet that are worth parsing."""
    text = decode_stylesheet_bytes(css)[0] if isinstance(css, bytes) else css
    pieces: list[str] = []
    piece: list[str] = []
    size = 0
    with_imports = False
    for number, rule in enumerate(split_rules(text)):
        if not _TELLING.search(rule):
            continue
        with_imports = with_imports or number == 0
        piece.append(rule)
        size += len(rule)
        if size >= PIECE:
            pieces.append("".join(piece))
            piece, size = [], 0
    if piece:
        pieces.append("".join(piece))
    return TellingRules(tuple(pieces), with_imports)


def split_rules(css: str) -> Iterator[str]:
    """A style sheet cut behind each of its blocks; joined again, it is the same sheet.

    The first part has every @import that counts, for a block ends them. What is malformed is not cut in the wrong place: where a
    bracket is open, the rest is one part.
    """
    start = 0
    closers: list[str] = []
    for found in _BRACKET.finditer(css):
        bracket = found[0]
        if bracket in _CLOSER:
            closers.append(_CLOSER[bracket])
        elif closers and bracket == closers[-1]:
            closers.pop()
            if bracket == "}" and not closers:
                yield css[start : found.end()]
                start = found.end()
    yield css[start:]
