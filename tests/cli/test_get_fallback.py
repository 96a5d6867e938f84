"""`h3push get --fallback`: where HTTP/3 does not answer, the same over HTTP/2 or HTTP/1.1."""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
import threading

import pytest

pytest.importorskip("httpx2")


async def answer(reader, writer):
    """HTTP/1.1 by hand: says what it was asked."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        lines = head.decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        length = int(fields.get("content-length", fields.get("Content-Length", 0)))
        content = await reader.readexactly(length)
        if lines[0].startswith("GET /redirect"):
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
        elif lines[0].startswith("GET /broken"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin")
            writer.close()
            return
        else:
            told = json.dumps({"line": lines[0], "fields": fields, "content": content.decode()}).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(told) + told
            )
        await writer.drain()


@pytest.fixture(scope="module")
def over_tcp(certificates):
    """The port of a server of HTTP/1.1 over TLS; nobody listens on UDP."""
    box, ready = {}, threading.Event()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certfile, certificates.keyfile)

    async def handle(reader, writer):
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run():
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        box.update(port=server.sockets[0].getsockname()[1], loop=asyncio.get_running_loop(), stop=asyncio.Event())
        ready.set()
        await box["stop"].wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(20)
    yield box["port"]
    box["loop"].call_soon_threadsafe(box["stop"].set)
    thread.join(20)


@pytest.fixture
def get(run, over_tcp, certificates):
    url = f"https://localhost:{over_tcp}/"
    place = ("--resolve", f"localhost:{over_tcp}:127.0.0.1", "--cacert", certificates.cafile)
    return lambda *arguments, path="": run("get", *place, *arguments, url + path)


def test_without_the_flag_nothing_but_http3_is_used(get):
    """The tool's name says HTTP/3: a server without it is a failure."""
    result = get()
    assert (result.code, result.out) == (7, b"")
    assert "refused" in result.err


def test_the_request_goes_out_over_tcp_and_the_version_is_told(get):
    """Fields and content are the same, and the report names the version that answered."""
    result = get(
        "--fallback", "-v", "-d", "a=1", "-H", "X-Mine: y", "-w", "\n%{http_version} %{num_connects} %{remote_ip}"
    )
    told, _, written = result.out.decode().partition("\n")
    told = json.loads(told)
    assert (told["line"], told["content"]) == ("POST / HTTP/1.1", "a=1")
    assert {name: told["fields"].get(name) for name in ("x-mine", "user-agent", "accept-encoding")} == {
        "x-mine": "y",
        "user-agent": "h3push",
        "accept-encoding": None,
    }
    assert (result.code, written) == (0, "1.1 1 127.0.0.1")
    assert "trying HTTP/2 and HTTP/1.1 over TCP\n" in result.err
    assert "> POST / HTTP/1.1\n" in result.err
    assert "< HTTP/1.1 200\n" in result.err


def test_http3_is_not_tried_again_for_each_url(run, over_tcp, certificates, tmp_path):
    """An origin where nothing answers is remembered; redirects, files, JSON and HAR work as over HTTP/3."""
    base = f"https://localhost:{over_tcp}/"
    place = ("--resolve", f"localhost:{over_tcp}:127.0.0.1", "--cacert", certificates.cafile)
    flags = ("--fallback", "-L", "-v", "--json", "--har", tmp_path / "all.har")
    result = run("get", *place, *flags, base + "redirect", base + "b")
    told = [json.loads(line) for line in result.out.splitlines()]
    assert [(one["url"].rpartition("/")[2], one["http_version"], one["status"]) for one in told] == [
        ("there", "1.1", 200),
        ("b", "1.1", 200),
    ]
    assert result.err.count("trying HTTP/2") == 1
    entries = json.loads((tmp_path / "all.har").read_text())["log"]["entries"]
    assert [entry["response"]["httpVersion"] for entry in entries] == ["http/1.1"] * 3


def test_uploads_are_sent_from_files(get, tmp_path):
    """-T reads the file while it is sent, with its length."""
    (tmp_path / "file").write_text("content of the file")
    told = json.loads(get("--fallback", "-T", tmp_path / "file").out)
    assert (told["line"], told["content"]) == ("PUT /file HTTP/1.1", "content of the file")


def test_failures_over_tcp_have_curls_codes(get, run, over_tcp, tmp_path):
    """A certificate that is not trusted, a response that breaks off, nobody at all: one sentence, and curl's code."""
    broken = get("--fallback", path="broken")
    assert (broken.code, broken.out, broken.err.count("\n")) == (18, b"begin", 1)
    url = f"https://localhost:{over_tcp}/"
    untrusted = run("get", "--fallback", "--resolve", f"localhost:{over_tcp}:127.0.0.1", url)
    assert (untrusted.code, untrusted.err.count("\n")) == (60, 1)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = run("get", "--fallback", f"https://127.0.0.1:{closed.getsockname()[1]}/")
    assert nobody.code == 7
    assert nobody.err.startswith("h3push: no connection to 127.0.0.1:")


def test_a_certificate_of_http3_is_no_reason_to_fall_back(run, server):
    """What is not trusted over QUIC would not be trusted over TCP: the failure stands."""
    result = run("get", "--fallback", server.url)
    assert result.code == 60
    assert "over TCP" not in result.err


def test_where_http3_answers_it_is_used(run, server):
    """--fallback changes nothing for a server of HTTP/3."""
    result = run(
        "get", "--fallback", "-s", "-o", "/dev/null", "-w", "%{http_version}", "--cacert", server.cafile, server.url
    )
    assert result.out == b"3"


def test_without_httpx2_the_sentence_says_what_to_install(run, monkeypatch):
    """--fallback needs the extra `client`."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    result = run("get", "--fallback", "https://localhost:1/")
    assert (result.code, result.err) == (1, "h3push: --fallback needs httpx2: pip install 'h3push[client]'\n")


def test_http2_is_preferred_over_http1(run, certificates, site, monkeypatch):
    """A server that speaks HTTP/2 over TCP is asked so."""
    pytest.importorskip("zttp")
    monkeypatch.setattr("h3push.client.alternatives.Alternatives.may_be_tried", lambda *_: False)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = [
        "--certfile",
        certificates.certfile,
        "--keyfile",
        certificates.keyfile,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command = [sys.executable, "-c", "from h3push.cli import main; main()", "serve", site, *flags]
    with subprocess.Popen(
        [*map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as serving:
        try:
            assert "serving" in serving.stderr.readline()
            url = f"https://localhost:{port}/plain.txt"
            place = ("--resolve", f"localhost:{port}:127.0.0.1", "--cacert", certificates.cafile)
            result = run("get", "--fallback", *place, "-w", "%{http_version}", url)
        finally:
            serving.terminate()
    assert (result.code, result.out) == (0, b"plain text\n2")
