"""From log files to counted candidates: formats, bad lines, pushes, classes; the same on each engine."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard

from h3push.control.kinds import EvidenceClass
from h3push.judge.engine import Engine, Store
from h3push.judge.evidence import Candidate, Count, Route
from h3push.judge.learning import learn, tables_of
from h3push.judge.logs import LogError, Tally, format_of
from h3push.judge.table import read_logs

from .rows import LogOfTest


def learned(
    paths: Sequence[Path], place: Path, engine: Engine = Engine.DUCKDB, tally: Tally | None = None
) -> dict[str, Route]:
    directory = place / "tables"
    directory.mkdir()
    store = Store(engine, directory)
    try:
        table = read_logs(paths, store, tally or Tally(), lambda _: None)
        assert table is not None
        return {route.route: route for route in learn(tables_of(table, store), 100)}
    finally:
        store.close()


def candidates(route: Route) -> dict[str, Candidate]:
    return {candidate.path: candidate for candidate in route.candidates}


def shop() -> LogOfTest:
    """Ten orders, each with its items; half of the views take a style sheet, some were pushed."""
    log = LogOfTest()
    for number in range(10):
        page = f"/orders/{number}"
        log.page(number, page, warm=number >= 8)
        log.member(number, f"{page}/items", page, bytes=1000 + number)
        if number % 2:
            log.member(number, "/app.css", page, position=2)
    return log


@pytest.fixture(params=list(Engine), ids=lambda engine: engine.value)
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.param
    if chosen is Engine.SPARK:
        pytest.importorskip("pyspark", reason="pyspark is not installed: pip install --group spark")
    return chosen


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_uses_are_counted_by_route_and_class(tmp_path: Path, engine: Engine) -> None:
    """A route's candidates have uses, trials and medians, and what repeats the page's value is a template itself."""
    log = shop()
    log.page(20, "/orders/20?sort=1", conditional=True)
    log.member(20, "/orders/20/items", "/orders/20?sort=1", status=404)
    log.lines.append('{"broken')
    tally = Tally()
    routes = learned([log.write(tmp_path / "access.jsonl")], tmp_path, engine, tally)
    assert (tally.bad, tally.examples) == (1, ['access.jsonl:28: {"broken'])
    route = routes["/orders/{1}"]
    assert (route.views, route.rtt_ms, route.window, route.think_ms, route.page_bytes) == (11, 100, 12_000, 5, 2_000)
    found = candidates(route)
    assert list(found) == ["/orders/{1}/items", "/app.css"]
    items, sheet = found.values()
    assert items.total == Count(10, 11)
    assert items.by_class == {
        EvidenceClass.NEW: Count(8, 8),
        EvidenceClass.WARM: Count(2, 2),
        EvidenceClass.RETURNING: Count(0, 1),
    }
    assert sheet.total == Count(5, 11)
    assert (sheet.size, sheet.position, sheet.since_page_ms) == (3000, 2, 110)


def test_pushes_count_by_what_became_of_them(tmp_path: Path) -> None:
    """Reported as used: a use. Reported as unused, or cancelled: none. Not reported: the view tells nothing."""
    log = LogOfTest()
    for number in range(20):
        log.page(number)
        if number < 10:
            log.member(number, "/a.css")
        else:
            log.member(number, "/a.css", push_id=0, outcome="complete" if number < 19 else "cancelled by the client")
    log.member(10, "/late", position=2, pushes_used=[0])
    log.member(11, "/late", position=2, pushes_used=[0], pushes_unused=[])
    log.member(12, "/late", position=2, pushes_unused=[0])
    route = learned([log.write(tmp_path / "a.jsonl")], tmp_path)["/"]
    # Ten asked for it, two used a push, one did not, one called it off; six pushes were never reported.
    assert candidates(route)["/a.css"].total == Count(12, 14)


def test_views_that_are_held_out_tell_for_those_that_are_not(tmp_path: Path) -> None:
    """While a plan is carried out and nobody reports, the connections without pushes are the trials."""
    log = LogOfTest()
    for number in range(30):
        arm = ("none", "push", "push")[number % 3]
        log.page(number, arm=arm)
        if arm == "push":
            log.member(number, "/a.css", push_id=0)
        elif number % 2:
            log.member(number, "/a.css")
    route = learned([log.write(tmp_path / "a.jsonl")], tmp_path)["/"]
    assert (route.views, candidates(route)["/a.css"].total) == (30, Count(5, 10))


def test_what_no_push_could_answer_is_no_candidate(tmp_path: Path) -> None:
    """What was posted, and WebSockets of every version: a push answers GET (RFC 9114 section 4.6). No line is a bad one."""
    log = LogOfTest()
    for number in range(5):
        log.page(number)
        log.member(number, "/a.css")
        log.member(number, "/order", method="POST", position=2)
        log.member(number, "/chat", method="CONNECT", position=3)
        log.member(number, "/chat", status=101, protocol="HTTP/1.1", position=4)
    log.page(5, "/order", method="POST")
    tally = Tally()
    routes = learned([log.write(tmp_path / "log.jsonl")], tmp_path, tally=tally)
    assert list(routes) == ["/"]
    assert list(candidates(routes["/"])) == ["/a.css"]
    assert (tally.rows, tally.bad, tally.homeless) == (10, 0, 0)


def test_a_thing_fetched_twice_is_used_once(tmp_path: Path) -> None:
    log = LogOfTest()
    for number in range(3):
        log.page(number)
        log.member(number, "/a.css")
        log.member(number, "/a.css", position=2)
    assert candidates(learned([log.write(tmp_path / "a")], tmp_path)["/"])["/a.css"].total == Count(3, 3)


def test_files_of_all_formats_are_one_table(tmp_path: Path) -> None:
    """Plain, gzip and Zstandard; JSON lines, a combined log and HAR."""
    plain = shop().write(tmp_path / "plain.jsonl")
    packed, tight = tmp_path / "packed.gz", tmp_path / "tight"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    other = LogOfTest()
    for number in range(30, 40):
        other.page(number, "/")
    tight.write_bytes(zstandard.compress(other.write(tmp_path / "other").read_bytes()))
    combined = tmp_path / "combined.log.gz"
    combined.write_bytes(gzip.compress(COMBINED.encode()))
    har = tmp_path / "page.har"
    har.write_text(json.dumps(HAR))
    tally = Tally()
    routes = learned([plain, packed, tight, combined, har], tmp_path, tally=tally)
    assert (tally.files, tally.bad) == (5, 2)
    assert routes["/orders/{1}"].views == 10, "the same views, written twice, are the same views"
    assert routes["/"].views == 10
    blog = routes["/blog/"]
    assert blog.views == 2
    assert candidates(blog)["/blog/style.css"].total == Count(2, 2)
    assert candidates(blog)["/blog/style.css"].by_class == {
        EvidenceClass.UNKNOWN: Count(1, 1),
        EvidenceClass.RETURNING: Count(1, 1),
    }
    assert routes["/shop"].views == 1


COMBINED = """\
203.0.113.9 - - [28/Nov/2026:18:35:19 +0000] "GET /blog/ HTTP/2.0" 200 5000 "-" "Agent \\"quoted\\" (x)"
203.0.113.9 - eve [28/Nov/2026:18:35:20 +0000] "GET /blog/style.css HTTP/2" 200 7 "https://a.test/blog/" "Agent \\"quoted\\" (x)"
nonsense
203.0.113.8 - - [28/Nov/2026:18:35:20 +0000] "GET /blog/ HTTP/1.1" 304 - "-" "Other"
203.0.113.8 - - [28/Nov/2026:18:35:21 +0000] "GET /blog/style.css HTTP/1.1" 200 700 "-" "Other"
203.0.113.7 - - [31/Foo/2026:18:35:21 +0000] "GET /blog/style.css HTTP/1.1" 200 700 "-" "Other"
203.0.113.7 - - [28/Nov/2026:18:35:21 +0000] "GET /lost.css HTTP/1.1" 200 700
"""


def entry(url: str, second: int, **more: object) -> dict[str, object]:
    return {
        "pageref": "page_1",
        "startedDateTime": f"2026-11-28T18:35:{second:02}.000Z",
        "time": 12.5,
        "request": {"method": "GET", "url": url, "headers": []},
        "response": {"status": 200, "bodySize": -1, "content": {"size": 900}},
        **more,
    }


HAR = {
    "log": {
        "entries": [
            entry("https://a.example/shop", 1),
            entry("https://a.example/shop.js", 2),
            entry("https://elsewhere.example/x.js", 2),
            entry("https://a.example/cached.css", 2, _fromCache="disk"),
        ]
    }
}


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\xff\xfe\n" * 50,
        b"{" * 5000,
        b'{"log": {"entries": [{"request": 1}, 7]}}',
        b'{"log": {"entries": 3}}',
        b"\n\n",
    ],
)
def test_whatever_a_file_holds_is_counted(tmp_path: Path, content: bytes) -> None:
    """No bytes end the reading; what cannot be understood is counted."""
    path = tmp_path / "garbage"
    path.write_bytes(content)
    store, tally = Store(Engine.DUCKDB, tmp_path), Tally()
    try:
        assert read_logs([path], store, tally, lambda _: None) is None
    finally:
        store.close()
    assert tally.bad or not content.strip()


def test_a_broken_archive_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"x" * 100_000)[:60])
    with pytest.raises(LogError, match=r"cannot read .*a\.gz"):
        format_of(path)


def test_an_interruption_within_the_engine_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while DuckDB works comes as its own error: what was read before is kept."""
    log = shop().write(tmp_path / "a.jsonl")
    packed = tmp_path / "b.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    store, tally = Store(Engine.DUCKDB, tmp_path), Tally()
    keep = Store.keep

    def interrupted(self: Store, table: object) -> object:
        if self._kept:
            raise RuntimeError("Query interrupted")
        return keep(self, table)

    monkeypatch.setattr(Store, "keep", interrupted)
    try:
        assert read_logs([log, packed], store, tally, lambda _: None) is not None
        assert tally.files == 1
    finally:
        store.close()


def test_an_interruption_keeps_what_was_read(tmp_path: Path) -> None:
    """Ctrl-C between two tables: the first is there, and the tally says so."""
    first, second = shop().write(tmp_path / "a.jsonl"), tmp_path / "b.log"
    second.write_text(COMBINED)
    said: list[str] = []

    def announce(what: str) -> None:
        said.append(what)
        if len(said) == 2:
            raise KeyboardInterrupt

    store, tally = Store(Engine.DUCKDB, tmp_path), Tally()
    try:
        table = read_logs([first, second], store, tally, announce)
        assert table is not None
        assert (tally.files, tally.rows) == (1, 25)
    finally:
        store.close()
