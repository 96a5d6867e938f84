"""Write the pages of `docs/reference/` that are made from the code: settings, command line, errors, push states.

    python tools/reference.py            rewrite them (`make reference`)
    python tools/reference.py --check    exit 1 and name the pages that are out of date

`tools/conformance.py` writes one more page there, from the tests.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import command_line_page
import draw_states
import errors_page
import settings_page

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "command-line.md": command_line_page.page,
    "errors.md": errors_page.page,
    "push-states.md": draw_states.page,
    "settings.md": settings_page.page,
}


def main(arguments: list[str]) -> int:
    """Run as a command; returns the exit status."""
    stale = []
    for name, make in PAGES.items():
        path, text = REFERENCE / name, make().rstrip("\n") + "\n"
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(f"docs/reference/{name}")
    if stale:
        print(f"out of date: {', '.join(stale)}; run `make reference` and commit what it writes", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
