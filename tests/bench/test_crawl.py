"""The crawl of a site: its figures are for `bench/crawl.py` to judge, this sees that they mean what they say."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "bench"))

import crawl


@pytest.mark.parametrize("push", ["off", "auto"])
def test_every_page_is_asked_for_and_its_sheets_are_pushed(tmp_path: Path, push: str) -> None:
    """A crawl that got no pages, or no pushes with `--push auto`, would be as fast as one likes."""
    crawl.write_site(tmp_path / "site", 10)
    done = asyncio.run(crawl.crawl(tmp_path / "site", tmp_path / "state", push, 10))
    assert done.pages_per_second > 0
    assert done.waits
    assert (done.pushes >= len(crawl.SHEETS)) == (push == "auto")
