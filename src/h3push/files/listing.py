"""The listing of a directory that has no index.html: what is served below it, and nothing else."""

import os
from collections.abc import Callable
from html import escape
from pathlib import Path
from urllib.parse import quote, unquote

MAX_LISTED = 10_000
"""Names in one listing; the page says when there are more. It is made for each request, and holds the loop meanwhile."""


def make_listing(directory: Path, path: str, is_served: Callable[[str], bool]) -> bytes | None:
    """Make the page; `None` when the directory cannot be read.

    Args:
        directory: the directory.
        path: the path that was asked for, percent-encoded, with its final slash.
        is_served: tells whether a path is served.
    """
    try:
        with os.scandir(directory) as entries:
            names = sorted((not one.is_dir(), one.name) for one in entries if not one.name.startswith("."))
    except OSError:
        return None
    shown = names[:MAX_LISTED]
    items = [".."] * (path != "/") + [f"{name}{'' if is_file else '/'}" for is_file, name in shown]
    lines = [_line(item) for item in items if item == ".." or is_served(path + quote(os.fsencode(item)))]
    if len(shown) < len(names):
        lines.append(f"<li>and {len(names) - len(shown)} more")
    title = escape(unquote(path))
    page = f"<!doctype html>\n<html lang=en><meta charset=utf-8><title>{title}</title><h1>{title}</h1>\n<ul>\n"
    return (page + "\n".join(lines) + "\n</ul></html>\n").encode("utf-8", "replace")


def _line(name: str) -> str:
    target = "../" if name == ".." else f"./{quote(os.fsencode(name))}"
    return f'<li><a href="{escape(target)}">{escape(name)}</a>'
