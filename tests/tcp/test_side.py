"""The TCP side of a server: same port, redirect, directory, Hypercorn's pushes, certificates, one shutdown."""

import asyncio
import contextlib
import shutil
import socket
import ssl
from collections.abc import Callable
from typing import Any

import h11
import pytest

import h3push
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.server.certificates import development_certificates
from h3push.server.identities import read_identities
from h3push.tcp import side as side_module
from h3push.tcp.assembly import serve_tcp_too
from h3push.tcp.redirect import RedirectApplication
from h3push.tcp.side import TcpUnavailable, find_backend
from h3push.tcp.sockets import listen

pytest.importorskip("uvicorn")
pytest.importorskip("zttp")

TCP_VERSIONS = pytest.mark.parametrize("version", ["2", "1.1"])
PAGE = "<!doctype html><link rel=stylesheet href=/a.css><p>page\n"


@pytest.fixture
def site(tmp_path: Any) -> Any:
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "a.css").write_text("p { color: red }\n")
    (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 4_000)
    return DirectoryHandler(Directory(tmp_path))


async def hello(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, ten seconds at most."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def page_with_push(scope: Any, receive: Any, send: Any) -> None:
    """Pushes one style sheet with its page."""
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/":
        await h3push.push(scope, "/a.css")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


@TCP_VERSIONS
def test_a_directory_is_served_as_over_http3(served: Any, site: Any, version: str) -> None:
    """Files, parts of files, conditions, what goes with a page: as the table of `delivery.decision` says."""

    async def scenario(world: Any) -> None:
        page = await world.get(version)
        assert (page.status, page.content.decode()) == (200, PAGE)
        expected = ["</a.css>; rel=preload; as=style"]
        assert page.links == expected
        assert page.hints == (expected if version == "2" else [])
        (tag,) = page.all(b"etag")
        assert (await world.get(version, headers=[(b"if-none-match", tag.encode())])).status == 304
        part = await world.get(version, "/large.bin", headers=[(b"range", b"bytes=1-3")])
        assert (part.status, part.content) == (206, b"\x01\x02\x03")
        large = await world.get(version, "/large.bin")
        assert large.content == bytes(range(256)) * 4_000
        assert (await world.get(version, "/absent")).status == 404
        assert (await world.get(version, method="POST", content=b"x")).status == 405
        ways = site.delivery.counters.ways
        assert {way.name: count for way, count in ways.items()} == {"EARLY_HINT" if version == "2" else "LINK": 1}

    served(site, scenario, serve=h3push.serve)


def test_hypercorn_pushes_to_clients_that_take_pushes(served: Any) -> None:
    """Over HTTP/2 too a client says whether it takes pushes; one that does not is hinted at (issue 12, point 1)."""
    pytest.importorskip("hypercorn")

    async def scenario(world: Any) -> None:
        takes = await world.get("2", pushes=True)
        assert (takes.pushed, takes.hints) == (["/a.css"], [])
        refuses = await world.get("2")
        assert (refuses.pushed, refuses.hints) == ([], ["</a.css>; rel=preload; as=style"])
        assert (await world.get("1.1")).links == ["</a.css>; rel=preload; as=style"]
        async with asyncio.timeout(5):
            while len(world.rows()) < 4:  # noqa: ASYNC110 - Hypercorn returns to the application after the client has its answer
                await asyncio.sleep(0.01)
        assert sorted(row["path"] for row in world.rows()) == ["/", "/", "/", "/a.css"]

    served(page_with_push, scenario, tcp="hypercorn")


@pytest.mark.parametrize("tcp", ["uvicorn", "hypercorn"])
def test_plain_http_is_redirected(served: Any, tcp: str) -> None:
    """308 with the same URL under https, at the port that HTTPS has."""
    pytest.importorskip(tcp)

    async def scenario(world: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", plain)
        writer.write(b"GET /a?b=c HTTP/1.1\r\nHost: localhost:80\r\nConnection: close\r\n\r\n")
        answer = (await asyncio.wait_for(reader.read(), 10)).decode().lower()
        writer.close()
        assert answer.startswith("http/1.1 308")
        assert f"location: https://localhost:{world.port}/a?b=c\r\n" in answer

    plain = free_port()
    served(page_with_push, scenario, tcp=tcp, redirect_port=plain)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "location"),
    [
        (b"example.com", b"https://example.com/p"),
        (b"EXAMPLE.com:8080", b"https://example.com/p"),
        (b"[::1]:80", b"https://[::1]/p"),
        (b"", None),
        (b"user@example.com", b"https://example.com/p"),
        (b"exa mple", None),
        (b"example.com/path", b"https://example.com/p"),
        (b"a\xffb", None),
    ],
)
def test_a_redirect_leads_nowhere_but_to_the_host_that_was_asked(host: bytes, location: bytes | None) -> None:
    """Whatever the Host field holds, the Location has that host and nothing of what else was in it; 400 for none."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"host", host)], "raw_path": b"//p", "path": "//p"}
    asyncio.run(RedirectApplication(443)(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == (308 if location else 400)
    assert dict(sent[0]["headers"]).get(b"location") == location


def test_new_connections_get_the_new_certificate(served: Any, tmp_path: Any) -> None:
    """As over HTTP/3, without a restart; files that make no certificate leave the old one in use."""
    made = development_certificates(tmp_path)

    async def scenario(world: Any) -> None:
        before = await certificate(world.port)
        world.side.load_certificates(read_identities([(made.certfile, made.keyfile)]), None)
        after = await certificate(world.port)
        assert before != after
        (tmp_path / "broken.pem").write_text("no certificate")
        with pytest.raises(ValueError, match=r"broken\.pem"):
            world.side.load_certificates(read_identities([(tmp_path / "broken.pem", made.keyfile)]), None)
        assert await certificate(world.port) == after

    served(page_with_push, scenario)


async def certificate(port: int) -> bytes:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("localhost", port, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert isinstance(der, bytes)
    return der


# A probe that Hypercorn took just before it stopped has begun no TLS, and asyncio leaves its transport to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("tcp", ["uvicorn", "hypercorn"])
def test_a_shutdown_lets_responses_over_tcp_finish(served: Any, tcp: str) -> None:
    """And no new connection is accepted meanwhile (issue 12, point 1)."""
    pytest.importorskip(tcp)
    called, go_on = [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        called[0].set()
        await go_on[0].wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"whole"})

    async def scenario(world: Any) -> None:
        called.append(asyncio.Event())
        go_on.append(asyncio.Event())
        waiting = asyncio.create_task(world.get("2"))
        await called[0].wait()
        assert world.server.responses_under_way == 1
        stopping = asyncio.create_task(world.service.shutdown())
        async with asyncio.timeout(10):
            while await accepts(world.port):
                pass
        go_on[0].set()
        assert (await waiting).content == b"whole"
        await stopping

    served(app, scenario, tcp=tcp)


async def accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("localhost", port)
    except OSError:
        return False
    writer.close()
    return True


@TCP_VERSIONS
def test_a_response_of_hypercorn_that_breaks_off_ends(served: Any, version: str) -> None:
    """Its client knows at once, and neither waits for the rest nor takes what there is for the whole."""
    pytest.importorskip("hypercorn")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("on purpose")

    async def scenario(world: Any) -> None:
        async with asyncio.timeout(10):
            with pytest.raises((ConnectionError, h11.RemoteProtocolError)):
                await world.get(version)
        assert [row["outcome"] for row in world.rows()] == ["failed"]

    served(app, scenario, tcp="hypercorn", lifespan=False)


def test_a_shutdown_without_grace_ends_responses(served: Any) -> None:
    """`shutdown(0)` does not wait for an application that goes on for ever."""
    called = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        called[0].set()
        await asyncio.Event().wait()

    async def scenario(world: Any) -> None:
        called.append(asyncio.Event())
        waiting = asyncio.create_task(world.get("1.1"))
        await called[0].wait()
        async with asyncio.timeout(5):
            await world.service.shutdown(0)
        (result,) = await asyncio.gather(waiting, return_exceptions=True)
        assert isinstance(result, Exception) or result.status == 500

    served(app, scenario)


def test_a_taken_tcp_port_is_an_error_that_names_it(certificates: Any) -> None:
    """Half a server would be a riddle: UDP is let go too."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            service = h3push.serve_asgi(
                page_with_push, "127.0.0.1", port, certfile=certificates.certfile, keyfile=certificates.keyfile
            )
            kind = find_backend("uvicorn")
            assert kind is not None
            serve_tcp_too(service, kind, read_identities([(certificates.certfile, certificates.keyfile)]))
            with pytest.raises(OSError, match="in use") as caught:
                await service.open()
            assert caught.value.where == f"TCP port {port} of 127.0.0.1"  # type: ignore[attr-defined]
            with socket.socket(type=socket.SOCK_DGRAM) as probe:
                probe.bind(("127.0.0.1", port))

    asyncio.run(main())


def test_a_free_port_is_free_for_both(certificates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Port 0 goes on to another where TCP finds the one that UDP took taken."""
    listened: list[int] = []
    original = side_module.listen

    def listen(address: tuple[str, int], backlog: int) -> socket.socket:
        listened.append(address[1])
        if len(listened) == 1:
            raise OSError(98, "taken")
        return original(address, backlog)

    monkeypatch.setattr(side_module, "listen", listen)

    async def main() -> None:
        service = h3push.serve_asgi(
            page_with_push, "127.0.0.1", 0, certfile=certificates.certfile, keyfile=certificates.keyfile
        )
        kind = find_backend("uvicorn")
        assert kind is not None
        serve_tcp_too(service, kind, read_identities([(certificates.certfile, certificates.keyfile)]))
        async with service:
            assert service.address[1] == listened[-1] != listened[0]

    asyncio.run(main())


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for by name: a sentence with what to install. By itself: HTTP/3 alone."""
    monkeypatch.setattr(side_module, "find_spec", lambda _name: None)
    assert find_backend("auto") is None
    assert find_backend("off") is None
    with pytest.raises(TcpUnavailable, match=r"pip install 'h3push\[tcp\]'"):
        find_backend("uvicorn")
    with pytest.raises(TcpUnavailable, match=r"pip install 'h3push\[hypercorn\]'"):
        find_backend("hypercorn")


def test_what_tcp_cannot_do_is_one_line() -> None:
    """Said at start."""
    kind = find_backend("uvicorn")
    assert kind is not None
    line = str(kind.abilities)
    assert line.startswith("over TCP: HTTP/2 and HTTP/1.1 by uvicorn ")
    assert line.endswith(", without pushes")
    assert "\n" not in line


def test_a_plain_handler_is_for_http3_alone(certificates: Any) -> None:
    kind = find_backend("uvicorn")
    assert kind is not None
    server = h3push.serve(
        lambda _request: h3push.Response(200), certfile=certificates.certfile, keyfile=certificates.keyfile
    )
    with pytest.raises(TypeError, match="not a plain handler"):
        serve_tcp_too(server, kind, read_identities([(certificates.certfile, certificates.keyfile)]))


def test_a_tunnel_is_not_for_applications(served: Any) -> None:
    """501, whatever the application would say: a 2xx would open it; and extended CONNECT is not announced over HTTP/2."""
    from h3push.tcp.zttp_protocols import without_extended_connect

    async def scenario(world: Any) -> None:
        assert (await world.get("2", method="CONNECT", headers=[(b":protocol", b"websocket")])).status == 501

    served(page_with_push, scenario)
    announced = bytes.fromhex("00000c 04 00 00000000 0003 00000080 0008 00000001 ffff")
    assert without_extended_connect(announced).hex() == "00000c0400000000000003000000800008" + "00000000" + "ffff"


@pytest.mark.skipif(shutil.which("nghttp") is None, reason="nghttp is not installed (Debian: nghttp2-client)")
def test_nghttp_sees_pushes(served: Any) -> None:
    """A stranger's client."""
    pytest.importorskip("hypercorn")

    async def scenario(world: Any) -> None:
        process = await asyncio.create_subprocess_exec(
            "nghttp",
            "-nv",
            "--no-verify-peer",
            f"https://localhost:{world.port}/",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 20)
        assert b"recv PUSH_PROMISE frame" in out
        assert b":path: /a.css" in out

    served(page_with_push, scenario, tcp="hypercorn")


def test_what_is_written_goes_out_at_once() -> None:
    """Connections have TCP_NODELAY: else a response in two writes waits for the client's delayed acknowledgment, 40 ms."""

    async def scenario() -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def look(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listening = listen(("127.0.0.1", 0), 10)
        async with await asyncio.start_server(look, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            writer.close()
            return await accepted

    assert asyncio.run(scenario())


def test_the_oldest_tls_is_a_choice(served: Any) -> None:
    """A client that knows TLS 1.2 alone is refused where 1.3 is the oldest, and gets the cipher of the list where it is not."""

    async def cipher_of(world: Any) -> str | None:
        context = ssl.create_default_context(cafile=world.cafile)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            _, writer = await asyncio.open_connection("localhost", world.port, ssl=context)
        except (ssl.SSLError, ConnectionError):
            return None
        found = writer.get_extra_info("cipher")[0]
        writer.close()
        return str(found)

    assert served(hello, cipher_of, tls={"oldest_tls": ssl.TLSVersion.TLSv1_3}) is None
    chosen = "ECDHE-ECDSA-AES256-SHA384"
    assert served(hello, cipher_of, tls={"ciphers": chosen}) == chosen


def test_ciphers_that_openssl_does_not_know(served: Any) -> None:
    """One sentence."""

    async def never(world: Any) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match=r"OpenSSL has no cipher for TLS 1\.2 in 'NONE-SUCH'"):
        served(hello, never, tls={"ciphers": "NONE-SUCH"})


@pytest.mark.parametrize("tcp", ["uvicorn", "hypercorn"])
def test_connections_are_told_by_version(served: Any, tcp: str) -> None:
    """For the metrics; those that have ended are not among them."""

    async def scenario(world: Any) -> None:
        writers = []
        for version in ("h2", "http/1.1", "http/1.1"):
            context = ssl.create_default_context(cafile=world.cafile)
            context.set_alpn_protocols([version])
            writers.append((await asyncio.open_connection("localhost", world.port, ssl=context))[1])
        await until(lambda: world.side.connections() == {"1.1": 2, "2": 1})
        for one in writers:
            one.close()
        await until(lambda: not world.side.connections())

    served(hello, scenario, tcp=tcp)


def test_hypercorn_keeps_the_bound_on_connections(served: Any) -> None:
    """Of itself it has none."""

    async def scenario(world: Any) -> None:
        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            context = ssl.create_default_context(cafile=world.cafile)
            return await asyncio.open_connection("localhost", world.port, ssl=context)

        held = [await connect() for _ in range(2)]
        await until(lambda: world.side.connections() == {"1.1": 2})
        reader, writer = await connect()
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(1), 10) == b""
        for _, one in (*held, (reader, writer)):
            one.close()

    served(hello, scenario, tcp="hypercorn", settings=h3push.ServerSettings(max_connections=2))


def test_hypercorn_has_the_bounds_that_it_knows() -> None:
    """Size, queue and pings of WebSockets, and the time for a handshake; what it does not know is told at the start."""
    pytest.importorskip("hypercorn")
    from h3push.tcp.hypercorn_backend import OurConfig, hypercorn_kind

    settings = h3push.ServerSettings(
        websocket_max_size=1, websocket_max_queue=2, websocket_ping_interval=3.0, handshake_timeout=4.0
    )
    config = OurConfig(None, settings)
    known = (config.websocket_max_message_size, config.max_app_queue_size, config.websocket_ping_interval)
    assert (*known, config.ssl_handshake_timeout) == (1, 2, 3.0, 4.0)
    assert "--ws-ping-timeout" in hypercorn_kind().abilities.unkept
