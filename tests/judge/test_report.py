"""`h3push report`: what became of pushes, what they saved, in words, in JSON, and as a page that Chromium shows."""

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from h3push.control.kinds import Arm
from h3push.judge.engine import Engine, Store
from h3push.judge.learning import tables_of
from h3push.judge.logs import Tally
from h3push.judge.outcome import MIN_ARM, Fates, RouteOutcome, SiteOutcome, Standing, compare, outcome_of
from h3push.judge.summary import headline, overall, reason
from h3push.judge.table import read_logs

from .rows import LogOfTest

CHROMIUM_S_OWN = re.compile(r"(?!fonts\.)[\w-]+\.(google|googleapis|gvt1)\.com")
"""Hosts that a new profile asks for whatever page it shows; no name is resolved here."""


def experiment(views: int = 240, saving: float = 60.0) -> LogOfTest:
    """Page views in three arms, over four days; a style sheet is pushed, hinted or asked for, and scatter is seeded."""
    log, chance = LogOfTest(), random.Random(3)
    for number in range(views):
        arm = list(Arm)[number % 3]
        day = f"2026-11-{1 + number * 4 // views:02}T12:00:00.000Z"
        log.page(number, arm=arm.value, time=day, duration_ms=30.0)
        since = {Arm.NONE: 60 + saving + 40, Arm.HINT: 60 + saving, Arm.PUSH: 60.0}[arm] + chance.gauss(0, 10)
        pushed = {"push_id": 0} if arm is Arm.PUSH else {}
        outcome = "cancelled by the client" if pushed and number % 12 == 2 else "complete"
        log.member(number, "/a.css", since_page_ms=since, time=day, outcome=outcome, **pushed)
        if pushed and number % 12 == 5:
            log.member(number, "/b", position=2, time=day, pushes_used=[0], since_page_ms=50.0, duration_ms=1.0)
        if pushed and number % 12 == 8:
            log.member(number, "/b", position=2, time=day, pushes_unused=[0], since_page_ms=50.0, duration_ms=1.0)
    return log


def outcome(log: LogOfTest, place: Path) -> SiteOutcome:
    place.mkdir(exist_ok=True)
    store = Store(Engine.DUCKDB, place)
    try:
        table = read_logs([log.write(place / "access.jsonl")], store, Tally(), lambda _: None)
        assert table is not None
        return outcome_of(tables_of(table, store), 10)
    finally:
        store.close()


def test_fates_are_counted(tmp_path: Path) -> None:
    """Used, unused, cancelled and not reported add up to what was pushed; wasted bytes are of the unused and cancelled."""
    found = outcome(experiment(), tmp_path)
    (route,) = found.routes
    fates = route.fates
    assert (fates.views, fates.pushed) == (240, 80)
    assert (fates.used, fates.unused, fates.cancelled, fates.unreported) == (20, 20, 20, 20)
    assert fates.wasted_bytes == 40 * 3000
    assert fates.bytes == 240 * 2000 + 240 * 3000 + 40 * 3000
    assert [day.day for day in found.days] == ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"]
    assert sum((day.fates for day in found.days), Fates()) == fates


def test_savings_are_differences_of_the_arms(tmp_path: Path) -> None:
    """Pushes beside hints and beside nothing, with intervals that hold what the experiment was made of."""
    found = outcome(experiment(), tmp_path)
    beside = found.routes[0].comparisons
    hint, nothing = beside[Arm.HINT].saved, beside[Arm.NONE].saved
    assert hint is not None
    assert nothing is not None
    # Views whose push was called off or unused end with the page, at 30 ms, or with the report, at 51: known, and in the means.
    assert hint.low < hint.estimate < hint.high < nothing.estimate
    assert nothing.estimate - hint.estimate == pytest.approx(40, abs=4)
    assert found.routes[0].standing is Standing.PAYS
    assert headline(found).startswith("Push pays: ")
    assert "on 1 of 1 route beyond doubt" in headline(found)


def test_a_harm_and_a_doubt_are_called_so() -> None:
    """All of the interval at or below 0: does not pay. 0 within: not enough, and how much is missing."""
    slow = compare(Arm.HINT, [100.0, 101.0] * 20, [120.0, 121.0] * 20)
    assert slow.standing is Standing.DOES_NOT_PAY
    doubtful = compare(Arm.HINT, [100.0, 140.0] * 20, [99.0, 139.0] * 20)
    assert doubtful.standing is Standing.NOT_ENOUGH
    assert doubtful.missing > 1000
    few = compare(Arm.NONE, [1.0] * 100, [1.0] * (MIN_ARM - 7))
    assert (few.standing, few.missing, few.saved) == (Standing.NOT_ENOUGH, 7, None)
    fates = Fates(views=100, pushed=10, bytes=1000)
    said = [reason(RouteOutcome("/", fates, {one.other: one})) for one in (slow, doubtful, few)]
    assert said[0].startswith("does not pay: -20 ms [")
    assert f"{doubtful.missing:,} more views would tell" in said[1]
    assert said[2].startswith("not enough seen: 7 more views")
    heads = [headline(SiteOutcome((RouteOutcome("/", fates, {one.other: one}),), ())) for one in (slow, doubtful, few)]
    assert heads[0].startswith("Push does not pay: -20 ms [")
    assert f"about {doubtful.missing:,} more page views" in heads[1]
    assert heads[2].startswith("Not enough seen: at least 7 more")
    assert headline(SiteOutcome((RouteOutcome("/", fates),), ())).startswith(
        "Not enough seen: no page view was part of"
    )


def test_the_whole_is_weighed_by_views() -> None:
    """Mean of the routes with the weight of their views; the half-widths add as squares."""
    first = compare(Arm.HINT, [100.0, 110.0] * 20, [50.0, 60.0] * 20)
    second = compare(Arm.HINT, [100.0, 120.0] * 20, [90.0, 110.0] * 20)
    routes = (
        RouteOutcome("/a", Fates(views=300), {Arm.HINT: first}),
        RouteOutcome("/b", Fates(views=100), {Arm.HINT: second}),
    )
    whole = overall(SiteOutcome(routes, ()))
    assert whole is not None
    assert first.saved is not None
    assert second.saved is not None
    assert whole.estimate == pytest.approx((3 * 50 + 10) / 4)
    halves = [(one.high - one.low) / 2 for one in (first.saved, second.saved)]
    assert (whole.high - whole.low) / 2 == pytest.approx(((3 * halves[0]) ** 2 + halves[1] ** 2) ** 0.5 / 4)


def test_the_command_prints_the_verdict_first(run, tmp_path):
    """One line at the top, then the routes; --json has the same; a log without an experiment says what it cannot say."""
    log = experiment().write(tmp_path / "access.jsonl")
    text = run("report", log)
    assert text.code == 0
    lines = text.out.decode().splitlines()
    assert lines[0].startswith("Push pays: ")
    assert lines[2:4] == [
        "/",
        "  240 views, 80 pushed: 20 used, 20 unused, 20 cancelled, 20 not reported; 9.1% of the bytes wasted",
    ]
    told = json.loads(run("report", log, "--json").out)
    assert told["headline"] == lines[0]
    assert told["routes"][0]["beside"]["hint"]["pushed_views"] == 80
    assert len(told["days"]) == 4
    plain = LogOfTest()
    plain.page(1)
    plain.member(1, "/a.css", push_id=0)
    without = run("report", plain.write(tmp_path / "plain.jsonl"), "--html", tmp_path / "plain.html")
    assert without.out.decode().startswith("Not enough seen: no page view was part of an experiment")
    assert "<table>" in (tmp_path / "plain.html").read_text()


def test_what_cannot_be_written_is_one_sentence(run, tmp_path, monkeypatch):
    log = experiment(30).write(tmp_path / "access.jsonl")
    assert run("report", log, "--html", tmp_path / "no" / "report.html").code == 23
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    missing = run("report", log, "--html", tmp_path / "report.html")
    assert (missing.code, missing.out) == (1, b"")
    assert "pip install 'h3push[report]'" in missing.err


def test_the_page_loads_nothing_and_draws_everything(run, tmp_path):
    """Chromium shows every plot, logs no error, and asks for no file but the page itself."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium found")
    log = experiment()
    log.page(999, "/</script><script>alert(1)</script>", arm="none")
    log.write(tmp_path / "access.jsonl")
    page, events = tmp_path / "report.html", tmp_path / "net.json"
    assert run("report", tmp_path / "access.jsonl", "--html", page).code == 0
    command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [
        "--enable-logging=stderr",
        "--v=0",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--log-net-log={events}",
    ]
    command += ["--virtual-time-budget=20000", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert shown.stdout.count("<svg") == 4
    assert "CONSOLE" not in shown.stderr, shown.stderr[-2000:]
    log_of_network = json.loads(events.read_text())
    kind = log_of_network["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    urls = [
        one["params"]["url"]
        for one in log_of_network["events"]
        if one["type"] == kind and "url" in one.get("params", {})
    ]
    foreign = {urlsplit(url).hostname for url in urls if urlsplit(url).scheme in {"http", "https", "ws", "wss"}}
    assert not {host for host in foreign if not CHROMIUM_S_OWN.fullmatch(host or "")}, urls
