"""`h3push demo`: what a newcomer sees first."""

import re
import shlex
from pathlib import Path

from h3push.cli.demo import site_directory
from h3push.lab.emulation import AccessLink, emulated_page_load
from h3push.server.certificates import state_directory


def test_the_demo_shows_every_response_the_gain_and_how_to_go_on(run):
    result = run("demo")
    assert (result.code, result.err) == (0, "")
    text = result.out.decode()
    rows = re.findall(r"^(GET |push) (/\S*) +([\d,]+) +([\d.]+) ms +([\d.]+) ms", text, re.MULTILINE)
    files = [path for path in site_directory().rglob("*") if path.is_file() and path.name != "LICENSE.txt"]
    assert rows[0][:2] == ("GET ", "/")
    assert len(rows) == len(files)
    assert all(kind == "push" for kind, *_ in rows[1:])
    for _, path, size, *_ in rows:
        assert int(size.replace(",", "")) == (site_directory() / (path[1:] or "index.html")).stat().st_size
    times = {
        name: [float(first), float(second)]
        for name, first, second in re.findall(
            r"^(without push|with push) +([\d.]+) ms +([\d.]+) ms", text, re.MULTILINE
        )
    }
    assert times["with push"][0] < times["without push"][0]
    assert times["with push"][1] < times["without push"][1]
    serve, get = (shlex.split(line) for line in text.splitlines()[-2:])
    assert serve[1:] == ["serve", str(site_directory()), "--dev"]
    assert get[1] == "get"
    assert str(state_directory() / "ca.pem") in get


def test_the_site_is_whole_and_its_licence_is_with_it():
    root = site_directory()
    assert "SIL OPEN FONT LICENSE Version 1.1" in (root / "LICENSE.txt").read_text()
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert 60_000 < size < 130_000


def test_the_figures_are_the_same_in_every_run():
    first, second = (emulated_page_load(site_directory(), "/", AccessLink(), max_pushes=100) for _ in range(2))
    assert first == second
    assert first.unused == 0


def test_what_is_pushed_and_what_a_browser_asks_for_are_the_same_things():
    pushed = emulated_page_load(site_directory(), "/", AccessLink(), max_pushes=100)
    asked = emulated_page_load(site_directory(), "/", AccessLink(), max_pushes=None)
    assert {resource.path for resource in pushed.resources} == {resource.path for resource in asked.resources}
    assert [resource.pushed for resource in asked.resources].count(True) == 0
    assert [resource.pushed for resource in pushed.resources].count(False) == 1


def test_a_page_with_nothing_on_it(tmp_path: Path):
    (tmp_path / "index.html").write_text("<p>nothing")
    load = emulated_page_load(tmp_path, "/", AccessLink(round_trip=0.6), max_pushes=100)
    assert len(load.resources) == 1
    assert 1.2 < load.duration < 1.3
