"""`h3push relay` as people start it: real processes, plain and with TLS, one origin and several."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

import h3push
from h3push.relay.places import read_places
from h3push.server.certificates import DevelopmentCertificates

from .sockets import client_context

SITE = Path(h3push.__file__).parent / "site"
MAIN = [sys.executable, "-c", "from h3push.cli import main; main()"]


@contextmanager
def started(*arguments: object) -> Iterator[list[str]]:
    """A command that runs, once it has said what it does: its lines so far. It ends by Ctrl-C, and well."""
    with subprocess.Popen([*MAIN, *map(str, arguments)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            lines = [process.stderr.readline()]
            yield lines
        finally:
            process.send_signal(signal.SIGINT)
            try:
                _, said = process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == 0, said
        assert "Traceback" not in said, said


@contextmanager
def serving(made: DevelopmentCertificates) -> Iterator[str]:
    """An origin of the bundled site."""
    arguments = ("serve", SITE, "--certfile", made.certfile, "--keyfile", made.keyfile, "--port", 0, "-q")
    with started(*arguments) as lines:
        found = re.search(r"https://localhost:\d+", lines[0])
        assert found, lines
        yield found[0]


def url_of(lines: list[str]) -> str:
    found = re.search(r"(https?://\S+) leads to", lines[0])
    assert found, lines
    return found[1]


def test_a_program_gets_a_site_through_it(certificates: DevelopmentCertificates, tmp_path: Path) -> None:
    """One command, one URL: pages and pushes come, and the cache on disk is there at the next start."""
    with serving(certificates) as origin:
        arguments = ("relay", origin, "--listen", 0, "--cacert", certificates.cafile, "--cache", tmp_path / "cache")
        with started(*arguments) as lines, httpx2.Client(base_url=url_of(lines)) as client:
            assert client.get("/").content == (SITE / "index.html").read_bytes()
            sheet = client.get("/styles/guide.css")
            assert sheet.content == (SITE / "styles" / "guide.css").read_bytes()
            told = client.get("/.h3push/status.json").json()
            assert told["requests"] == told["requests"] | {"push": 1, "server": 1}
        with started(*arguments) as lines, httpx2.Client(base_url=url_of(lines)) as client:
            assert client.get("/.h3push/status.json").json()["cache"]["responses"] == 2


@pytest.mark.parametrize(("versions", "spoken"), [(["h2"], "HTTP/2"), (["http/1.1"], "HTTP/1.1")])
def test_it_speaks_both_versions_over_tls(
    certificates: DevelopmentCertificates, versions: list[str], spoken: str
) -> None:
    """With a certificate, programs choose HTTP/2 or HTTP/1.1; both get the pushes."""
    pytest.importorskip("zttp")
    with serving(certificates) as origin:
        files = ("--certfile", certificates.certfile, "--keyfile", certificates.keyfile)
        arguments = ("relay", origin, "--listen", 0, "--cacert", certificates.cafile, *files)
        verify = client_context(certificates)
        options = {"verify": verify, "http2": versions == ["h2"]}
        with started(*arguments) as lines, httpx2.Client(base_url=url_of(lines), **options) as client:
            page = client.get("/")
            assert (page.http_version, page.status_code) == (spoken, 200)
            assert client.get("/styles/guide.css").status_code == 200
            assert client.get("/.h3push/status.json").json()["requests"]["push"] == 1
            assert client.post("/", content=b"x").status_code == 405


def test_several_origins_have_a_port_each(certificates: DevelopmentCertificates) -> None:
    """The first has the one of --listen, or its own."""
    with serving(certificates) as first, serving(certificates) as second:
        arguments = (f"{first}=127.0.0.1:0", f"{second}=127.0.0.1:0", "--cacert", certificates.cafile)
        with started("relay", *arguments) as lines, httpx2.Client() as client:
            told = client.get(f"{url_of(lines)}/.h3push/status.json").json()["origins"]
            assert [one["origin"] for one in told] == [first, second]
            for one in told:
                assert client.get(one["here"]).content == (SITE / "index.html").read_bytes()


def test_it_listens_on_loopback_unless_an_address_is_named() -> None:
    """Every place that is not told another host is "localhost"; a port alone means that too."""
    places = read_places(("https://a.example", "https://b.example", "https://c.example=0.0.0.0:9000"), None)
    assert [(place.host, place.port) for place in places] == [
        ("localhost", 8080),
        ("localhost", 8081),
        ("0.0.0.0", 9000),
    ]
    (place,) = read_places(("https://a.example:4433",), "3000")
    assert (place.host, place.port, place.origin.authority) == ("localhost", 3000, "a.example:4433")
    places = read_places(("https://a.example=8081", "https://b.example", "https://c.example"), None)
    assert [place.port for place in places] == [8081, 8080, 8082]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["http://a.example"], "HTTP/3 needs an https URL"),
        (["https://a.example/page"], "more than an origin: give https://a.example"),
        (["https://a.example=8080", "https://b.example=8080"], "two origins want port 8080"),
        (["https://a.example", "--listen", "here"], "neither HOST:PORT nor a port"),
        (["https://a.example", "--keyfile", "x"], "--certfile and --keyfile go together"),
        (["https://a.example", "--cacert", "/nowhere.pem"], "cannot read the authorities in '/nowhere.pem'"),
        (["https://a.example", "--listen", "0", "--cache", "/proc/none"], "cannot keep the cache in /proc/none"),
        (["https://a.example", "--listen", "192.0.2.1:80"], "no address of this machine: choose one with --listen"),
    ],
)
def test_arguments_that_make_no_sense_get_a_sentence(arguments: list[str], sentence: str) -> None:
    """Bad input gets one clear sentence and a non-zero exit, no traceback."""
    done = subprocess.run([*MAIN, "relay", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert sentence in " ".join(re.sub(r"[│╭╰─╮╯]", " ", done.stderr).split())
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named() -> None:
    """Who starts a second relay learns which flag to change."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            [*MAIN, "relay", "https://a.example", "--listen", str(port)], capture_output=True, text=True, timeout=60
        )  # fmt: skip
    assert done.returncode != 0
    assert "is in use by another program: stop it, or choose another port with --listen" in done.stderr


def test_an_origin_that_does_not_answer_is_said_to_who_asks(certificates: DevelopmentCertificates) -> None:
    """The relay starts without its origin, and tells each program why there is no answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    with started("relay", f"https://127.0.0.1:{port}", "--listen", 0) as lines:
        answer = httpx2.get(url_of(lines), timeout=30)
    assert answer.status_code == 502
    assert answer.text.startswith("h3push relay: ")
    assert answer.headers["proxy-status"] == "h3push; error=connection_refused"
