"""The page of errors: every exception and every error code, from their docstrings."""

from documented import one_line, paragraphs, table, under_each_name

import h3push
from h3push.errors import ErrorCode, H3PushError

HEAD = """# Errors

Made from the code by `tools/reference.py`; do not edit by hand. Everything that h3push raises on its own account is an
`H3PushError`; a wrong argument is a `ValueError` or `TypeError`, a socket that cannot be bound an `OSError`.

## Exceptions
"""

ERROR_CODES = """## Error codes

The codes that end streams and connections (`h3push.ErrorCode`): RFC 9114 section 8.1, RFC 9204 section 6, RFC 9297 section 5.2.
"""


def public_errors() -> list[type[Exception]]:
    """Every public exception."""
    things = [getattr(h3push, name) for name in h3push.__all__]
    return [thing for thing in things if isinstance(thing, type) and issubclass(thing, Exception)]


def tree(root: type[Exception], errors: list[type[Exception]], depth: int = 0) -> list[str]:
    """A nested list of an exception and those below it."""
    lines = ["    " * depth + f"* **`{root.__name__}`**: {paragraphs(root)}"]
    for below in errors:
        if root in below.__bases__:
            lines += tree(below, errors, depth + 1)
    return lines


def page() -> str:
    """The page."""
    errors = public_errors()
    lines = [HEAD, *tree(H3PushError, errors)]
    for other in errors:
        if not issubclass(other, H3PushError):
            lines += tree(other, errors)
    texts = under_each_name(ErrorCode)
    rows = [[f"`{code.name}`", f"{code.value:#x}", one_line(texts.get(code.name, ""))] for code in ErrorCode]
    return "\n".join([*lines, "", ERROR_CODES, *table(["name", "code", "meaning"], rows)])
