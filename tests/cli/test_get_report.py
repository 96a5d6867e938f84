"""Reports of `h3push get` at its end: `-w`, `--har`, `--svg`, `--waterfall`."""

import json
from datetime import datetime
from xml.etree import ElementTree

import pytest

from h3push.cli.outcome import Fetched
from h3push.cli.output.svg import FAILED, PUSHED, REQUESTED, svg
from h3push.cli.output.waterfall import ENDED_EARLY, Row, shortened, waterfall
from h3push.cli.output.write_out import VARIABLES, Facts, Template

PAGE = b"<link rel=stylesheet href=style.css><img src='a b.png'><img src=empty.png>"


@pytest.fixture
def get(run, server):
    return lambda *arguments: run("get", "--cacert", server.cafile, *arguments)


# -w


def test_write_out_prints_curls_variables_and_ours(get, server):
    """-w replaces variables, header fields and escapes, after the content."""
    told = get(
        "-w",
        r"\n%{http_code} %{response_code} %{size_download} %{content_type} %{method} %{scheme} %{http_version} 100%%"
        r"\t%{num_pushes} %{num_pushes_used} %{push_bytes} %{push_bytes_wasted} %header{Content-Length} %{exitcode}",
        server.url,
    )
    assert told.out == PAGE + b"\n200 200 74 text/html GET https 3 100%\t3 0 28 28 74 0"


def test_wasted_bytes_are_those_of_pushes_that_answered_nothing(run, start):
    """%{push_bytes_wasted} counts what arrived of pushes that failed or that nobody asked for; %{num_pushes_used} the others."""
    from h3push.server.response import Response

    async def handler(request):
        if request.path == "/stops":
            await request.start_response(200)
            await request.send(b"begin")
            await request.wait_disconnected()
        if request.path == "/":
            await request.push("/whole")
            await request.push("/stops")
        return Response(200, {}, "1234567")

    stopping = start(handler)
    written = r"%{stderr}%{num_pushes} %{num_pushes_used} %{push_bytes} %{push_bytes_wasted}\n"
    flags = ("get", "-k", "--push-timeout", "0.2", "-w", written)
    assert run(*flags, stopping.url).err == "2 0 12 12\n"
    both = run(*flags, stopping.url, f"{stopping.url}whole")
    assert both.err.splitlines()[-1] == "2 1 12 5"


def test_write_out_gives_fields_as_json_the_referer_and_the_place_of_the_url(get, server):
    """%{header_json} has every field of the response, %{referer} what -e sent, %{urlnum} the place of the URL."""
    written = r"%{stderr}%{urlnum} %{referer} %{header_json}\n"
    told = get("-e", "https://from.test/", "-w", written, server.url, f"{server.url}plain.txt")
    lines = [line.split(" ", 2) for line in told.err.splitlines()]
    assert [line[:2] for line in lines] == [["0", "https://from.test/"], ["1", "https://from.test/"]]
    fields = json.loads(lines[0][2])
    assert (fields["content-type"], fields["content-length"]) == (["text/html"], [str(len(PAGE))])


def test_times_are_in_order(get, server):
    """Times are seconds with six places, as curl's; each comes after the one before."""
    names = [
        "time_namelookup",
        "time_appconnect",
        "time_pretransfer",
        "time_starttransfer",
        "time_total",
        "time_all_pushes",
    ]
    out = get("-o", "/dev/null", "-w", " ".join(f"%{{{name}}}" for name in names), server.url).out.decode()
    times = [float(value) for value in out.split()]
    assert times == sorted(times)
    assert times[0] > 0
    assert all(len(value.partition(".")[2]) == 6 for value in out.split())


def test_write_out_of_a_failure(get, server):
    """-w is printed after a failure too, and %{onerror} keeps the rest for failures."""
    failed = get("-f", "-w", "%{exitcode} %{errormsg} %{http_code}", server.url + "absent")
    assert (failed.code, failed.out) == (22, b"22 the server answered 404 404")
    none = get("-w", "%{http_code}", "-m", "0.000001", server.url)
    assert (none.code, none.out) == (28, b"000")
    assert get("-w", "%{onerror}%{exitcode}", server.url).out == PAGE


def test_write_out_can_come_from_a_file(get, server, tmp_path):
    """-w @FILE reads the format."""
    (tmp_path / "format").write_text("%{stderr}%{http_code}\n")
    result = get("-w", f"@{tmp_path}/format", server.url)
    assert (result.out, result.err) == (PAGE, "200\n")
    assert get("-w", f"@{tmp_path}/absent", server.url).code == 26


def test_every_variable_can_be_asked_before_anything_happened():
    """No variable needs a response, or a connection."""
    facts = Facts(Fetched("https://localhost/"), None, None, 0)
    out, err = Template.of("".join(f"%{{{name}}};" for name in VARIABLES)).fill(facts)
    assert len(out.split(";")) == len(VARIABLES) + 1
    assert err == ""


# --har


def test_a_har_has_every_exchange_and_push(get, server, tmp_path):
    """--har writes HAR 1.2: each entry's phases add up to its time, and pushed ones say so."""
    result = get("-o", "/dev/null", "--har", tmp_path / "page.har", "--cancel", "*.css", server.url + "?a=1&b=x%20y")
    assert result.code == 0
    log = json.loads((tmp_path / "page.har").read_text())["log"]
    assert log["version"] == "1.2"
    assert log["creator"]["name"] == "h3push"
    entries = {entry["request"]["url"].rpartition("/")[2]: entry for entry in log["entries"]}
    assert {name: entry["_was_pushed"] for name, entry in entries.items()} == {
        "?a=1&b=x%20y": 0,
        "style.css": 1,
        "a%20b.png": 1,
        "empty.png": 1,
    }
    for entry in entries.values():
        datetime.fromisoformat(entry["startedDateTime"])
        phases = [entry["timings"][name] for name in ("blocked", "dns", "connect", "send", "wait", "receive")]
        assert sum(phase for phase in phases if phase > 0) == pytest.approx(entry["time"], abs=0.01)
        assert entry["pageref"] == log["pages"][0]["id"]
        assert entry["request"]["httpVersion"] == "h3"
    page = entries["?a=1&b=x%20y"]
    assert page["request"]["queryString"] == [{"name": "a", "value": "1"}, {"name": "b", "value": "x y"}]
    assert page["response"]["content"] == {"size": len(PAGE), "mimeType": "text/html"}
    cancelled = entries["style.css"]
    assert (cancelled["response"]["status"], cancelled["_push_state"]) == (0, "cancelled")
    assert (entries["a%20b.png"]["response"]["status"], entries["a%20b.png"]["_push_state"]) == (200, "fulfilled")


def test_a_har_of_a_failure(run, tmp_path):
    """A fetch that failed before there was a response is an archive too."""
    result = run("get", "--har", tmp_path / "none.har", "https://nosuch.invalid/")
    assert result.code != 0
    assert json.loads((tmp_path / "none.har").read_text())["log"]["entries"] == []


# --svg and --waterfall


def row(path, started, first_byte, ended, **more):
    return Row(
        path=path, **({"pushed": False, "body_bytes": 10} | more), started=started, first_byte=first_byte, ended=ended
    )


ROWS = [
    row("/", 0.0, 0.05, 0.1, method="POST"),
    row("/a.css?<&>", 0.05, 0.06, 0.1, pushed=True),
    row("/b.png", 0.05, None, 0.06, pushed=True, note="cancelled"),
]


def test_an_svg_marks_pushed_rows():
    """The picture is well-formed, says whose it is, and has a colour for what was asked for, pushed and not complete."""
    root = ElementTree.fromstring(svg(ROWS, "https://localhost/?a&b"))
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words[0] == "https://localhost/?a&b"
    for word in ("POST", "/a.css?<&>", "60.0 ms, cancelled", "100.0 ms, 10 B"):
        assert word in words
    fills = [bar.get("fill") for bar in root.iter("{http://www.w3.org/2000/svg}rect")][4:]
    assert fills == [REQUESTED, REQUESTED, PUSHED, PUSHED, FAILED]
    assert svg([], "https://localhost/")


def test_the_waterfall_says_what_is_not_whole():
    """A row that is not whole ends in a mark and a word."""
    lines = waterfall(ROWS)
    assert lines[1].startswith("POST /")
    assert lines[3].endswith(f"{ENDED_EARLY}  cancelled")
    assert waterfall([row("/" + "x" * 200, 0, 0, 1)])[1].count("x") == len(shortened("/" + "x" * 200)) - 2


def test_get_draws_its_waterfall_on_stderr(get, server, tmp_path):
    """--waterfall draws on stderr, --svg into a file; the content stays alone on standard output."""
    result = get("--waterfall", "--svg", tmp_path / "page.svg", server.url)
    assert result.out == PAGE
    names = [line.split()[:2] for line in result.err.splitlines()]
    assert names == [["response", "bytes"], ["GET", "/"]] + [
        ["push", name] for name in ("/style.css", "/a%20b.png", "/empty.png")
    ]
    assert ElementTree.parse(tmp_path / "page.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("flag", ["--har", "--svg"])
def test_a_report_that_cannot_be_written_is_said(get, server, tmp_path, flag):
    """A file that cannot be written is one sentence, and exit code 23."""
    result = get(flag, tmp_path / "absent" / "file", server.url)
    assert result.code == 23
    assert result.err == f"h3push: cannot write {tmp_path}/absent/file: no such file or directory\n"
