"""Files that lie compressed beside the original: `app.css.br` for `app.css`, and which of them a request takes.

Build tools compress once and better than a server can (`files.compression` does it where they have not). A compressed file that
is older than its original is not used: it is what the original was before.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from h3push.files.paths import FoundFile, Root

SUFFIXES = (("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz"))
"""Content coding (RFC 9110 section 8.4.1, RFC 8878) and file suffix, the smaller usual result first."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A file in one content coding."""

    coding: str
    """Value of Content-Encoding."""
    file: FoundFile
    """Its content; `name` is that of the original."""


def find_variants(original: FoundFile, root: Root) -> list[Variant]:
    """The compressed files beside `original`, all of them regular, served by `root` and up to date."""
    found = []
    for coding, suffix in SUFFIXES:
        file = root.find_beside(f"{original.path}{suffix}", original.name)
        if file is not None and file.mtime_ns >= original.mtime_ns:
            found.append(Variant(coding, file))
    return found


def choose_variant(variants: list[Variant], headers: Mapping[str, str]) -> Variant | None:
    """Choose the variant that a request is answered with; `None`: the original.

    The one with the highest weight in Accept-Encoding, among equals the first; an original that weighs more wins (RFC 9110
    section 12.5.3).
    """
    if not variants or "accept-encoding" not in headers:
        return None
    weights = parse_weights(headers["accept-encoding"])
    weight_of = {one.coding: weights.get(one.coding, weights.get("*", 0.0)) for one in variants}
    best = max(variants, key=lambda one: weight_of[one.coding])
    return best if weight_of[best.coding] > 0 and weight_of[best.coding] >= weights.get("identity", 0.0) else None


def parse_weights(value: str) -> dict[str, float]:
    """Codings of an Accept-Encoding field with their weights, 0 to 1; what is no weight counts as 0."""
    weights = {}
    for part in value.lower().split(","):
        coding, _, parameter = part.partition(";")
        name, _, weight = parameter.partition("=")
        if coding.strip():
            weights[coding.strip()] = _weight(weight.strip()) if name.strip() == "q" else 1.0
    return weights


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
