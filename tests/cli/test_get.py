"""`h3push get`: what it prints where, and how it ends."""

import hashlib
import json
import re
import socket

import pytest

from h3push.cli.failures import ExitCode
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.plans.page import PageScanSettings
from h3push.server.certificates import development_certificates
from h3push.server.response import Response

PAGE = b"<link rel=stylesheet href=style.css><img src='a b.png'><img src=empty.png>"


@pytest.fixture
def get(run, server):
    return lambda *arguments: run("get", "--cacert", server.cafile, *arguments)


def test_the_body_goes_to_stdout_and_nothing_else_is_said(get, server):
    result = get(server.url)
    assert (result.code, result.out, result.err) == (0, PAGE, "")


def test_a_url_may_be_typed_without_its_scheme(get, server):
    assert get(f"localhost:{server.port}/plain.txt#part").out == b"plain text\n"
    assert get(f"localhost:{server.port}/a b.png").out == b"\x89PNG\0picture"


def test_json_tells_about_the_response_and_every_push(get, server):
    result = get("--json", server.url)
    assert result.code == 0
    told = json.loads(result.out)
    assert list(told) == [
        "url",
        "status",
        "http_version",
        "headers",
        "informational",
        "body_bytes",
        "time_total",
        "pushed",
        "pushes",
        "push_counts",
    ]
    assert told["url"] == server.url
    assert (told["status"], told["http_version"], told["body_bytes"]) == (200, "3", len(PAGE))
    assert ["content-type", "text/html"] in told["headers"]
    assert 0 < told["time_total"] < 20
    assert told["pushes"] == [
        {
            "push_id": push_id,
            "url": server.url + name,
            "method": "GET",
            "status": 200,
            "body_bytes": len(content),
            "body_sha256": hashlib.sha256(content).hexdigest(),
            "state": "fulfilled",
            "claimed": False,
            "reason": None,
        }
        for push_id, (name, content) in enumerate(
            [("style.css", b"p { color: red }"), ("a%20b.png", b"\x89PNG\0picture"), ("empty.png", b"")]
        )
    ]
    assert told["push_counts"] == {"fulfilled": 3}


def test_verbose_tells_every_push_on_stderr(get, server):
    result = get("-v", server.url)
    assert result.out == PAGE
    lines = result.err.splitlines()
    assert re.match(r"\* connected to (127\.0\.0\.1|::1) port \d+ over HTTP/3 in \d\.\d+ s", lines[0])
    assert "> GET / HTTP/3" in lines
    assert "> user-agent: h3push" in lines
    assert "< HTTP/3 200" in lines
    assert lines[-1] == "* 3 promised: 3 unclaimed"
    rows = [line.split() for line in lines[-5:-1]]
    assert rows[0] == ["push", "status", "bytes", "promised", "done", "state", "URL"]
    for push_id, (row, name, size) in enumerate(
        zip(rows[1:], ["style.css", "a%20b.png", "empty.png"], [16, 12, 0], strict=True)
    ):
        assert row[:3] == [str(push_id), "200", str(size)]
        assert float(row[3]) <= float(row[5])
        assert row[7:] == ["unclaimed", server.url + name]


def test_without_pushes_nothing_is_promised(get, server):
    assert json.loads(get("--json", "--push", "off", server.url).out)["pushes"] == []
    assert get("-v", "--push", "off", server.url).err.endswith("* nothing was pushed\n")


@pytest.mark.parametrize("glob", ["*.png", "/*.png", "https://localhost*.png"])
def test_pushes_that_match_a_glob_are_cancelled(get, server, glob):
    result = get("--json", "-v", "--cancel", glob, server.url)
    pushes = json.loads(result.out)["pushes"]
    assert [push["state"] for push in pushes] == ["fulfilled", "cancelled", "cancelled"]
    assert (pushes[1]["status"], pushes[1]["body_sha256"]) == (None, None)
    assert pushes[1]["reason"] == f"matches --cancel {glob}"
    rows = result.err.splitlines()
    assert rows[-2].endswith(f"{server.url}empty.png  (matches --cancel {glob})")
    assert rows[-1] == "* 3 promised: 2 cancelled, 1 unclaimed"


def test_the_window_of_pushes_is_what_the_user_says(get, server):
    told = json.loads(get("--json", "--max-pushes", "1", server.url).out)
    assert [push["url"] for push in told["pushes"]] == [server.url + "style.css"]


def test_the_body_goes_to_a_file(get, server, tmp_path):
    result = get("-o", tmp_path / "page", server.url)
    assert (result.code, result.out, result.err) == (0, b"", "")
    assert (tmp_path / "page").read_bytes() == PAGE


def test_the_body_goes_to_a_file_with_the_name_in_the_url(get, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert get("-O", server.url + "a%20b.png?x=1").code == 0
    assert (tmp_path / "a b.png").read_bytes() == b"\x89PNG\0picture"


def test_json_and_a_file_at_once(get, server, tmp_path):
    assert json.loads(get("--json", "-o", tmp_path / "page", server.url).out)["body_bytes"] == len(PAGE)
    assert (tmp_path / "page").read_bytes() == PAGE


def test_a_file_that_cannot_be_written_is_said(get, server, tmp_path):
    result = get("-o", tmp_path / "absent" / "page", server.url)
    assert (result.code, result.err) == (
        23,
        f"h3push: cannot write {tmp_path}/absent/page: no such file or directory\n",
    )


def test_the_header_section_comes_first_when_asked_for(get, server):
    head, _, body = get("-i", server.url + "plain.txt").out.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/3 200 \r\n")
    assert b"content-length: 11" in head
    assert body == b"plain text\n"


def test_head_prints_the_header_section_only(get, server):
    result = get("-I", server.url + "plain.txt")
    assert result.out.startswith(b"HTTP/3 200 \r\n")
    assert result.out.endswith(b"\r\n\r\n")
    assert b"plain" not in result.out.replace(b"text/plain", b"")


def test_an_error_status_alone_is_no_failure(get, server):
    result = get(server.url + "absent")
    assert result.code == 0
    assert b"404 Not Found" in result.out


def test_an_error_status_is_a_failure_when_asked_for(get, server):
    result = get("--fail", server.url + "absent")
    assert (result.code, result.out, result.err) == (22, b"", "h3push: the server answered 404\n")
    assert get("-f", server.url).code == 0


def test_silent_says_nothing(get, server):
    result = get("-s", "--fail", server.url + "absent")
    assert (result.code, result.err) == (22, "")


@pytest.fixture(scope="session")
def echo(start):
    async def handler(request):
        content = await request.read()
        told = {"method": request.method, "headers": dict(request.headers), "content": content.decode()}
        return Response(200, {"content-type": "application/json"}, json.dumps(told))

    return start(handler)


def test_method_fields_and_content_are_sent(run, echo, tmp_path):
    def told(*arguments):
        return json.loads(run("get", "--cacert", echo.cafile, *arguments, echo.url).out)

    assert told()["method"] == "GET"
    posted = told("-d", "a=1", "-H", "X-Test:  one ", "-H", "accept: text/html")
    assert (posted["method"], posted["content"]) == ("POST", "a=1")
    assert posted["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert (posted["headers"]["x-test"], posted["headers"]["accept"]) == ("one", "text/html")
    assert told("-X", "DELETE")["method"] == "DELETE"
    (tmp_path / "data").write_text("from a file")
    assert told("-X", "PUT", "-d", f"@{tmp_path}/data")["content"] == "from a file"
    assert "user-agent" not in told("-H", "User-Agent:")["headers"]


# failures


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["http://localhost/"],
        ["https://"],
        ["ftp://localhost/"],
        ["https://localhost:port/"],
        ["https://localhost:0/"],
        ["https://\udcff/"],
        ["-X", "GE T", "https://localhost/"],
        ["-X", "", "https://localhost/"],
        ["-H", "name: a\nb", "https://localhost/"],
        ["-H", "Host: \udcff", "https://localhost/"],
        ["-A", "a\nb", "https://localhost/"],
        ["-w", "%{nothing}", "https://localhost/"],
        ["-G", "https://localhost/"],
        ["-T", "x", "-d", "x", "https://localhost/"],
        ["--key", "x", "https://localhost/"],
        ["--resolve", "localhost:443", "https://localhost/"],
        ["--resolve", "localhost:443:host", "https://localhost/"],
        ["--connect-to", "localhost:443", "https://localhost/"],
        ["--connect-to", "localhost:443:host:0", "https://localhost/"],
        ["--push", "maybe", "https://localhost/"],
        ["--max-pushes", "0", "https://localhost/"],
        ["--max-time", "0", "https://localhost/"],
        ["-O", "https://localhost/"],
        ["-O", "https://localhost/%2e%2e"],
        ["-O", "-o", "x", "https://localhost/x"],
        ["-I", "-d", "x", "https://localhost/"],
        ["-H", "no colon", "https://localhost/"],
        ["-H", "sp ace: x", "https://localhost/"],
        ["--no-such-option", "https://localhost/"],
        ["https://localhost/", "ftp://another"],
        ["-o", "x", "-o", "y", "https://localhost/"],
        ["-T", "x", "-T", "y", "https://localhost/"],
    ],
)
def test_a_command_line_that_makes_no_sense_exits_with_2(run, arguments):
    result = run("get", *arguments)
    assert result.code == 2
    assert "Traceback" not in result.err
    assert "Usage" in result.err


def failure(result, code=1):
    """The one sentence of a failed command."""
    assert result.code == code
    assert result.out == b""
    assert result.err.startswith("h3push: ")
    assert result.err.endswith("\n")
    assert result.err.count("\n") == 1
    return result.err[len("h3push: ") : -1]


def test_an_unknown_host(run):
    assert "nosuch.invalid" in failure(run("get", "https://nosuch.invalid/"), ExitCode.DNS)


@pytest.fixture
def closed_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_refused_connection(run, closed_port):
    assert "refused" in failure(run("get", f"https://127.0.0.1:{closed_port}/"), ExitCode.REFUSED)


def test_a_server_that_says_nothing(run):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{mute.getsockname()[1]}/"
        sentence = failure(run("get", "--connect-timeout", "0.3", url), ExitCode.TIMEOUT)
    assert "nothing answers" in sentence
    assert "0.3 s" in sentence


def test_a_wrong_ca(run, server, tmp_path):
    other = development_certificates(tmp_path)
    assert "not trusted" in failure(run("get", "--cacert", other.cafile, server.url), ExitCode.CERTIFICATE)
    assert "not trusted" in failure(run("get", server.url), ExitCode.CERTIFICATE)
    assert run("get", "-k", server.url).code == 0


def test_a_file_of_authorities_that_is_none(run, server, tmp_path):
    assert "absent.pem" in failure(run("get", "--cacert", tmp_path / "absent.pem", server.url), 77)
    (tmp_path / "empty.pem").write_text("")
    assert "empty.pem" in failure(run("get", "--cacert", tmp_path / "empty.pem", server.url), 77)


def test_a_response_that_takes_too_long(run, start):
    async def handler(request):
        await request.wait_disconnected()

    slow = start(handler)
    sentence = failure(run("get", "-k", "--max-time", "0.3", slow.url), 28)
    assert sentence == "not everything arrived within 0.3 s (--max-time)"


def test_a_response_that_breaks_off(run, start):
    async def handler(request):
        await request.start_response(200)
        await request.send(b"begin")
        raise RuntimeError("broken")

    broken = start(handler)
    result = run("get", "-k", broken.url)
    assert result.code in {18, 56}  # as much as went out before the reset
    assert re.fullmatch(r"h3push: [^\n]+ \[H3_INTERNAL_ERROR \(0x102\)\]\n", result.err)


def test_a_thousand_pushes_through_a_window_of_ten(run, start, tmp_path):
    (tmp_path / "index.html").write_text("".join(f"<img src={n}.png>" for n in range(1_000)))
    for n in range(1_000):
        (tmp_path / f"{n}.png").write_text(str(n))
    scan_settings = PageScanSettings(max_resources=1_000)
    many = start(DirectoryHandler(Directory(tmp_path), push_wait=5, scan_settings=scan_settings))
    told = json.loads(run("get", "-k", "--json", "--max-pushes", "10", many.url).out)
    assert [push["state"] for push in told["pushes"]] == ["fulfilled"] * 1_000
    assert [push["body_sha256"] for push in told["pushes"]] == [
        hashlib.sha256(str(n).encode()).hexdigest() for n in range(1_000)
    ]
