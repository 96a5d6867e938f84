"""`h3push lab`: what it reads, prints and writes."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from h3push.cli.demo import site_directory

QUICK = ("--rtt", "100", "--rate", "10", "--loss", "0", "--cache", "cold,warm", "--jobs", "1")
BROWSERS_OWN = (".google.com", ".googleapis.com", ".gvt1.com")
"""Hosts that Chromium asks for the time and for updates, whatever page is open."""
WAYS = ["none", "preload", "103", "push planned", "push all"]


def test_the_table_has_a_row_a_scenario_with_the_best_way_and_ends_in_a_verdict(run):
    result = run("lab", site_directory(), *QUICK)
    assert (result.code, result.err) == (0, "")
    text = result.out.decode()
    rows = [line.split() for line in text.splitlines() if " / " in line and " ms" not in line]
    assert [row[:4] for row in rows] == [["100", "10", "0", "%"]] * 2
    assert all(way in text for way in WAYS)
    assert text.splitlines()[-1].startswith("Push pays")


def test_json_has_every_figure_and_is_the_same_in_every_run(run):
    first, second = (run("lab", site_directory(), *QUICK, "--json").out for _ in range(2))
    assert first == second
    told = json.loads(first)
    assert (told["verdict"], told["decided_by"], told["visits_not_made"]) == ("pays", "shown", 0)
    assert [(cell["warm"], cell["round_trip"], cell["rate"]) for cell in told["cells"]] == [
        (False, 0.1, 10_000_000),
        (True, 0.1, 10_000_000),
    ]
    for cell in told["cells"]:
        assert list(cell["ways"]) == WAYS
        for way in cell["ways"].values():
            assert 0 < way["shown"]["median"] <= way["complete"]["median"]
            assert way["bytes"] > told["site"]["content_bytes"]


def test_a_url_is_fetched_with_what_its_page_names(run, server):
    result = run("lab", server.url, "--cacert", server.cafile, *QUICK, "--json")
    assert result.code == 0, result.err
    told = json.loads(result.out)["site"]
    assert (told["resources"], told["page"]) == (3, "/")


def test_a_recording_of_our_own_client_is_read(run, server, tmp_path):
    archive = tmp_path / "page.har"
    assert run("get", "--cacert", server.cafile, server.url, "-o", tmp_path / "x", "--har", archive).code == 0
    told = json.loads(run("lab", archive, *QUICK, "--json").out)["site"]
    assert (told["page"], told["resources"]) == ("/", 3)


def test_a_plan_is_tried_and_what_it_pushes_in_vain_is_waste(run, tmp_path):
    """A file that the plan names and the page does not need is sent: its bytes are in the waste, and nowhere else."""
    (tmp_path / "index.html").write_text("<link rel=stylesheet href=a.css><p>text")
    (tmp_path / "a.css").write_bytes(b"p { margin: 0 }")
    (tmp_path / "old.css").write_bytes(b"x" * 9_000)
    plan = tmp_path / "plan.json"
    plan.write_text('{"/": {"/old.css": {"type": "style"}, "/a.css": {"type": "style"}}}')
    given = ("--rtt", "100", "--rate", "50", "--loss", "0", "--cache", "warm", "--jobs", "1", "--json")
    (cell,) = json.loads(run("lab", tmp_path, *given, "--push-manifest", plan).out)["cells"]
    planned, everything = cell["ways"]["push planned"], cell["ways"]["push all"]
    assert (planned["pushes_used"], planned["pushes_unused"]) == (1, 1)
    assert planned["wasted_bytes"] > 9_000 > everything["wasted_bytes"] + 8_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["/nowhere/at/all"], "there is no /nowhere/at/all"),
        ([__file__], "no HTTP archive"),
        (["http://localhost/"], "https"),
        (["https://localhost:1/", "-k"], "refused the connection"),
        (["https://localhost:1/", "--cacert", "/nowhere"], "cannot read the authorities"),
        (["SITE", "--page", "/none.html"], "has no page at /none.html"),
        (["SITE", "--rtt", "fast"], "no list of numbers"),
        (["SITE", "--loss", "70"], "between 0 and 50"),
        (["SITE", "--cache", "tepid"], "neither cold, nor warm"),
        (["SITE", "--push-manifest", "/nowhere"], "cannot read the push manifest"),
        (["SITE", "--html", "/nowhere/lab.html"], "no directory /nowhere"),
    ],
)
def test_bad_input_is_one_sentence(run, arguments, sentence):
    result = run("lab", *[site_directory() if word == "SITE" else word for word in arguments])
    assert result.code != 0
    assert sentence in " ".join(result.err.split())
    assert "Traceback" not in result.err
    assert result.out == b""


def test_what_was_measured_before_an_interrupt_is_kept():
    """Progress is shown on a terminal. Ctrl-C ends the measuring, not the program: the scenarios that are whole are told."""
    command = [sys.executable, "-c", "from h3push.cli import main; main()", "lab", str(site_directory())]
    command += ["--seeds", "1000", "--json", "--jobs", "2", "--rtt", "20", "--rate", "50", "--cache", "cold,50"]
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its_end)
    os.close(its_end)
    try:
        seen = b""
        while not any(int(made) >= 20 for made in re.findall(rb"(\d+) of \d+ visits", seen)):
            seen += os.read(terminal, 4096)
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert process.returncode == 130
    told = json.loads(out)
    assert told["cells"]
    assert told["visits_not_made"] > 0


def test_the_page_loads_nothing_and_draws_every_plot(run, tmp_path):
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium found")
    site = tmp_path / "</script><script>alert(1)<"
    shutil.copytree(site_directory(), site)
    page, events = tmp_path / "lab.html", tmp_path / "net.json"
    assert run("lab", site, *QUICK[:-4], "--cache", "cold,50", "--seeds", "2", "--html", page).code == 0
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
    assert len(re.findall(r'<svg[^>]* class="marks"', shown.stdout)) == 3
    assert "CONSOLE" not in shown.stderr, shown.stderr[-2000:]
    log = json.loads(events.read_text())
    started = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    urls = {one["params"]["url"] for one in log["events"] if one["type"] == started and "url" in one.get("params", {})}
    fetched = {urlsplit(url).hostname or "" for url in urls if not url.startswith(("file:", "data:", "chrome"))}
    assert not [host for host in fetched if not host.endswith(BROWSERS_OWN)], fetched
