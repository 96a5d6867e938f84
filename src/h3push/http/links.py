"""Link fields (RFC 8288): parsing, and which links are preloads.

Parsing follows RFC 8288 appendix B.2: what cannot be understood is skipped and the rest counts. Writing is strict: a value with a
character that could end a header line or begin another one is refused (`FieldInjectionError`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PRELOADING = frozenset({"preload", "modulepreload"})
_ONLY_FOR_THE_CLIENT = ("nopush", "media", "imagesrcset", "anchor")
_TARGET = re.compile(r"[ \t,]*<([^>]*)>")
_PARAMETER = re.compile(r"[ \t]*;[ \t]*(?:([!#$%&'*+.^_`|~\w-]+)[ \t]*(?:=[ \t]*(\"(?:[^\"\\]|\\.)*\"|[^\s;,\"]*))?)?")
_QUOTED_PAIR = re.compile(r"\\(.)")
_NOT_IN_A_FIELD = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


class FieldInjectionError(ValueError):
    """A value holds a character that may not stand in a header field, such as a line break; it is not sent."""


@dataclass(frozen=True, slots=True)
class LinkValue:
    """One link of a Link field (`link-value` in RFC 8288 section 3)."""

    target: str
    """The target, as written."""
    parameters: tuple[tuple[str, str], ...]
    """Names in lower case with their values; "" for a name without one."""
    text: str
    """The whole link as written, fit to stand in a field of its own."""

    def get(self, name: str) -> str | None:
        """The first value of a parameter (RFC 8288 section 3.3: the first `rel` counts); `None` when it is not there."""
        return next((value for given, value in self.parameters if given == name), None)

    @property
    def is_preload(self) -> bool:
        """True when the page needs the target, so that fetching it early makes sense."""
        return not _PRELOADING.isdisjoint((self.get("rel") or "").lower().split())

    @property
    def may_be_pushed(self) -> bool:
        """True for a preload that neither the author nor its own conditions reserve for the client."""
        return self.is_preload and not any(self.get(name) is not None for name in _ONLY_FOR_THE_CLIENT)


def parse_links(value: bytes) -> Iterator[LinkValue]:
    """The links of one Link field value. Raises `FieldInjectionError`; what is no link is skipped."""
    text = field_text(value)
    position = 0
    while (target := _TARGET.match(text, position)) is not None:
        start, position = text.index("<", position), target.end()
        parameters = []
        while (parameter := _PARAMETER.match(text, position)) is not None:
            position = parameter.end()
            if parameter[1]:
                parameters.append((parameter[1].lower(), _unquoted(parameter[2] or "")))
        yield LinkValue(target[1].strip(), tuple(parameters), text[start:position].strip())
        rest = text.find(",", position)
        if rest < 0:
            return
        position = rest


def field_text(value: bytes) -> str:
    """A field value as text (latin-1). Raises `FieldInjectionError` for control characters (RFC 9110 section 5.5)."""
    text = value.decode("latin-1")
    wrong = _NOT_IN_A_FIELD.search(text)
    if wrong is not None:
        raise FieldInjectionError(f"a Link value may not hold {wrong[0]!r} (at {wrong.start()} in {text[:80]!r})")
    return text


def _unquoted(value: str) -> str:
    return _QUOTED_PAIR.sub(r"\1", value[1:-1]) if value.startswith('"') else value
