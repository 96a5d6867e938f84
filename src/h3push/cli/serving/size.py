"""Sizes as people write them: 65536, 64KiB, 1MiB."""

import re
from typing import Any

import rich_click as click

UNITS = {"": 1, "KIB": 1024, "MIB": 1024**2, "GIB": 1024**3, "K": 1024, "M": 1024**2, "G": 1024**3}
"""Factors; the letters alone mean the same, as in systemd."""


class SizeType(click.ParamType[int]):
    """A number of bytes, at least 1."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a size."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", str(value).strip())
        factor = None if found is None else UNITS.get(found[2].upper())
        if found is None or factor is None or int(found[1]) == 0:
            self.fail(f"{value!r} is no size, such as 65536, 64KiB or 1MiB.", param, ctx)
        return int(found[1]) * factor


SIZE = SizeType()
"""The type of such flags."""
