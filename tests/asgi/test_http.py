"""ASGI's http protocol: scope, content both ways, order, endings."""

import asyncio
import logging
import sys
from typing import Any

import pytest

import h3push
from h3push.asgi.cycle import CYCLE, CycleInput, CycleState
from h3push.asgi.handler import ASGIHandler
from h3push.asgi.scope import decoded_path
from h3push.http.fields import RequestHead

from .harness import World, in_world, now, respond


def get(app: Any, path: str = "/", method: str = "GET", **options: Any) -> Any:
    """One request; (response, its content)."""
    headers = options.pop("headers", None)

    async def scenario(world: World) -> Any:
        response = await world.client.request(method, path, headers=headers)
        return response, await response.read()

    return in_world(app, scenario, **options)


@pytest.mark.rfc("H3-4.3.1-02")
def test_the_scope_says_what_asgi_asks_for() -> None:
    """Version "3"; path decoded, raw path and query apart, Host from `:authority`, TLS facts, our marker; no push offered."""
    seen = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await respond(send)

    get(app, "/caf%C3%A9/%2F?q=%20", headers=[("cookie", "a=1"), ("cookie", "b=2"), ("x", "y")], root_path="/app")
    assert (seen["type"], seen["http_version"], seen["scheme"], seen["method"]) == ("http", "3", "https", "GET")
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/caf\xe9//", b"/caf%C3%A9/%2F", b"q=%20")
    assert seen["headers"][0] == (b"host", b"origin.example")
    assert (b"cookie", b"a=1; b=2") in seen["headers"]
    assert seen["root_path"] == "/app"
    assert seen["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert isinstance(seen["client"][1], int)
    assert isinstance(seen["server"][1], int)
    assert seen["extensions"]["tls"]["tls_version"] == 0x0304
    assert seen["extensions"]["tls"]["cipher_suite"] in {0x1301, 0x1302, 0x1303}
    assert set(seen["extensions"]) == {
        "http.response.early_hint",
        "http.response.pathsend",
        "http.response.zerocopysend",
        "tls",
        "h3push",
    }
    assert seen["extensions"]["h3push"]["push_id"] is None
    assert "state" not in seen


def test_content_streams_both_ways_at_once() -> None:
    """A piece of the response leaves before the request is complete."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            message = await receive()
            await send(
                {"type": "http.response.body", "body": message["body"].upper(), "more_body": message["more_body"]}
            )
            if not message["more_body"]:
                return

    async def scenario(world: World) -> list[bytes]:
        heard = asyncio.Event()

        async def upload() -> Any:
            yield b"one"
            await heard.wait()
            yield b"two"

        response = await world.client.post("/", content=upload())
        pieces = []
        async for piece in response.stream():
            pieces.append(piece)
            heard.set()
        return pieces

    assert in_world(app, scenario) == [b"ONE", b"TWO"]


def test_send_waits_for_a_client_that_does_not_read() -> None:
    """Back-pressure: what the application has sent is bounded by windows and marks, not by its own speed."""
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
            sent += 65_536
        await send({"type": "http.response.body"})

    async def scenario(world: World) -> tuple[int, int]:
        response = await world.client.get("/")
        await asyncio.sleep(10)
        held_at = sent
        return held_at, len(await response.read())

    client = h3push.ClientSettings(receive_high_water=65_536, stream_receive_window=262_144)
    held_at, received = in_world(app, scenario, client_settings=client)
    assert held_at < 1_500_000
    assert received == 6_553_600


def test_a_client_waits_for_an_application_that_does_not_receive() -> None:
    """Back-pressure the other way: the client can send what the marks allow, then it waits."""
    produced = 0
    go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        size = 0
        while (message := await receive())["more_body"]:
            size += len(message["body"])
        await respond(send, b"%d" % (size + len(message["body"])))

    async def scenario(world: World) -> tuple[int, bytes]:
        async def upload() -> Any:
            nonlocal produced
            for _ in range(100):
                produced += 65_536
                yield bytes(65_536)

        asking = asyncio.ensure_future(world.client.post("/", content=upload()))
        await asyncio.sleep(10)
        held_at = produced
        go.set()
        return held_at, await (await asking).read()

    held_at, answer = in_world(app, scenario)
    assert held_at < 1_500_000
    assert answer == b"6553600"


def test_head_gets_the_fields_and_no_content() -> None:
    """RFC 9110 section 9.3.2; the application need not know."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"content", headers=[(b"content-length", b"7")])

    response, body = get(app, method="HEAD")
    assert (response.headers["content-length"], body) == ("7", b"")


@pytest.mark.parametrize("own_error", [False, True])
def test_an_endless_body_ends_where_nobody_wants_it(own_error: bool, caplog: pytest.LogCaptureFixture) -> None:
    """HEAD of a body that goes on for ever holds nobody up: the application gets an `OSError` soon (issue 9, point 12).

    The response is whole, so what the application makes of that is no failure.
    """
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while sent < 10_000_000:  # on and on, but for the test
                await send({"type": "http.response.body", "body": bytes(1_000), "more_body": True})
                sent += 1_000
        except OSError:
            if own_error:
                raise ValueError from None  # as Starlette does
            raise

    response, content = get(app, method="HEAD")
    assert (response.status, content) == (200, b"")
    assert sent <= 65_536
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


@pytest.mark.parametrize(("te", "expected"), [({"te": "trailers"}, "sum"), ({}, None)])
def test_trailers_go_to_who_takes_them(te: dict[str, str], expected: str | None) -> None:
    """RFC 9110 section 6.5.1: without `TE: trailers` they are not sent, and the extension is not offered."""
    offered = None

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal offered
        offered = "http.response.trailers" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"content"})
        await send({"type": "http.response.trailers", "headers": [], "more_trailers": True})
        await send({"type": "http.response.trailers", "headers": [(b"X-Check", b"sum")]})

    response, body = get(app, headers=te)
    assert body == b"content"
    assert (response.trailers or {}).get("x-check") == expected
    assert offered is (expected is not None)


def test_pathsend_sends_a_file(tmp_path: Any) -> None:
    """The transport reads the file; the application names it."""
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * 4_000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"1024000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.pathsend", "path": str(path)})

    assert get(app)[1] == path.read_bytes()


def test_zerocopysend_sends_parts_of_a_file(tmp_path: Any) -> None:
    """By descriptor, from an offset or from where the descriptor stands; mixed with content; the application closes it."""
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * 4_000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with path.open("rb") as file:
            await send(
                {"type": "http.response.zerocopysend", "file": file, "offset": 10, "count": 300_000, "more_body": True}
            )
            await send({"type": "http.response.body", "body": b"--", "more_body": True})
            file.seek(1_000_000)
            await send({"type": "http.response.zerocopysend", "file": file})

    content = path.read_bytes()
    assert get(app)[1] == content[10:300_010] + b"--" + content[1_000_000:]


def test_a_reset_request_is_a_disconnect() -> None:
    """A client that abandons its upload: `receive` says `http.disconnect`, `send` raises an `OSError`."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            pass
        seen.append(message["type"])
        try:
            await respond(send)
        except OSError as error:
            seen.append(error)

    async def scenario(world: World) -> None:
        async def upload() -> Any:
            yield b"begin"
            await asyncio.sleep(1_000)

        asking = asyncio.ensure_future(world.client.post("/", content=upload()))
        await asyncio.sleep(1)
        asking.cancel()
        await asyncio.sleep(1)

    in_world(app, scenario)
    assert seen[0] == "http.disconnect"
    assert isinstance(seen[1], OSError)


def test_a_cancelled_response_is_a_disconnect_and_no_cancellation() -> None:
    """The application is told and may finish what it does; its task is not cancelled."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        seen.append(await receive())
        await asyncio.sleep(1)
        seen.append("finished")

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        await response.close()
        await asyncio.sleep(5)

    in_world(app, scenario)
    assert seen == [{"type": "http.disconnect"}, "finished"]


def test_receive_after_the_response_is_a_disconnect() -> None:
    """ASGI: whoever still listens when the response is complete gets `http.disconnect`."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send)
        seen.append((await receive())["type"])

    get(app)
    assert seen == ["http.disconnect"]


def test_an_application_that_raises_gets_a_500(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing was sent, so the client can be told; the log has the traceback."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("broken")

    with caplog.at_level(logging.ERROR):
        assert get(app)[0].status == 500
    assert "broken" in caplog.text


@pytest.mark.parametrize("ending", ["raises", "returns"])
def test_half_a_response_is_never_taken_for_a_whole_one(ending: str, caplog: pytest.LogCaptureFixture) -> None:
    """A response that only looks complete must not reach a cache: the stream is reset."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        if ending == "raises":
            raise ValueError

    with pytest.raises(h3push.StreamFailed):
        get(app)


def test_an_application_that_sends_nothing_gets_a_500(caplog: pytest.LogCaptureFixture) -> None:
    """Returning without a response is an error of the application."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        return

    assert get(app)[0].status == 500
    assert "waiting for http.response.start" in caplog.text


OUT_OF_ORDER = [
    ("http.response.body before the start", [{"type": "http.response.body"}]),
    ("a second start", [{"type": "http.response.start", "status": 200}] * 2),
    (
        "trailers without announcement",
        [{"type": "http.response.start", "status": 200}, {"type": "http.response.trailers", "headers": []}],
    ),
    ("an unknown event", [{"type": "http.response.applause"}]),
]


@pytest.mark.parametrize("messages", [one for _, one in OUT_OF_ORDER], ids=[name for name, _ in OUT_OF_ORDER])
def test_an_event_out_of_order_raises_a_sentence(messages: Any) -> None:
    """Whatever the table has no row for raises in the application, at the event that is wrong."""
    raised = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            for message in messages:
                await send(dict(message))
        except RuntimeError as error:
            raised.append(str(error))
            raise

    async def scenario(world: World) -> None:
        try:
            response = await world.client.get("/")
            await response.read()
        except h3push.StreamFailed:
            pass

    in_world(app, scenario)
    assert len(raised) == 1
    assert "http.response" in raised[0]


def test_what_comes_after_the_end_is_ignored() -> None:
    """ASGI: once the response is complete, further messages on the channel are ignored (issue 9, point 28)."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"whole", headers=[(b"content-length", b"5")])
        await send({"type": "http.response.body", "body": b"more"})
        await send({"type": "http.response.start", "status": 500})
        await send({"type": "http.response.trailers", "headers": []})

    response, content = get(app)
    assert (response.status, content) == (200, b"whole")


def test_a_second_start_changes_nothing_of_the_first(tmp_path: Any) -> None:
    """It raises, and how much of a file is sent is still what the first one declared (issue 9, point 28)."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        with pytest.raises(RuntimeError, match=r"http\.response\.start"):
            await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.pathsend", "path": str(path)})

    response, content = get(app)
    assert (response.status, content) == (200, b"01234")


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_file_that_cannot_be_sent_leaves_the_response_incomplete(goes_on: bool, tmp_path: Any) -> None:
    """The application may still complete it; one that does not has sent half a response (issue 9, point 28)."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with pytest.raises(FileNotFoundError):
            await send({"type": "http.response.pathsend", "path": str(tmp_path / "absent")})
        if goes_on:
            await send({"type": "http.response.body", "body": b"instead"})

    if goes_on:
        assert get(app)[1] == b"instead"
    else:
        with pytest.raises(h3push.StreamFailed):
            get(app)


def test_zerocopysend_goes_on_from_where_the_last_one_ended(tmp_path: Any) -> None:
    """Without an offset the file's own position counts, and moves on (issue 9, point 28)."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with path.open("rb", buffering=0) as file:
            for count in (3, 4):
                await send({"type": "http.response.zerocopysend", "file": file, "count": count, "more_body": True})
            await send({"type": "http.response.zerocopysend", "file": file})

    assert get(app)[1] == b"0123456789"


@pytest.mark.parametrize(
    ("raw", "path"),
    [(b"/caf%C3%A9", "/caf\xe9"), ("/caf\xe9".encode(), "/caf\xe9"), (b"/%FF", "/\ufffd"), (b"/plain", "/plain")],
)
def test_the_path_is_utf_8(raw: bytes, path: str) -> None:
    """ASGI: percent-decoded, then UTF-8, whether the client encoded it or not (issue 9, point 28)."""
    assert decoded_path(raw) == path


@pytest.mark.parametrize("swallows", [False, True])
def test_a_response_that_is_cut_off_is_reset(swallows: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A client that takes too little for `drain_timeout` gets no clean end of half a response (issue 9, point 27).

    The application gets an `OSError`; one that swallows it has done nothing wrong, so nothing is logged as an error.
    """
    raised: list[OSError] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2):
            try:
                for _ in range(200):
                    await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
            except OSError as error:
                raised.append(error)
                if not swallows:
                    raise

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        await asyncio.sleep(30)
        with pytest.raises(h3push.StreamFailed):
            await response.read()

    client = h3push.ClientSettings(receive_high_water=65_536, stream_receive_window=262_144)
    in_world(app, scenario, client_settings=client, server_settings=h3push.ServerSettings(drain_timeout=5))
    assert len(raised) == (2 if swallows else 1)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_an_application_that_calls_sys_exit_gets_a_500(caplog: pytest.LogCaptureFixture) -> None:
    """It ends its own request and nothing else (issue 9, point 37)."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/exit":
            sys.exit(3)
        await respond(send, b"alive")

    async def scenario(world: World) -> Any:
        failed = await world.client.get("/exit")
        await failed.read()
        return failed.status, await (await world.client.get("/")).read()

    assert in_world(app, scenario) == (500, b"alive")
    assert "sys.exit(3)" in caplog.text


def test_the_table_leads_from_waiting_to_done() -> None:
    """Every state is reached, DONE has no way out, and only the states that the table names exist."""
    reached = {CycleState.WAITING, CycleState.TRAILERS, *CYCLE.values()}
    assert reached == set(CycleState)
    assert not [row for row in CYCLE if row[0] is CycleState.DONE]
    assert {happened for _, happened in CYCLE} == set(CycleInput)


def test_a_slow_upload_ends_with_408(caplog: pytest.LogCaptureFixture) -> None:
    """`read_timeout`: the application gets a disconnect, and the client is told if the application says nothing."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] == "http.request":
            pass

    async def scenario(world: World) -> tuple[int, float]:
        async def upload() -> Any:
            yield b"begin"
            await asyncio.sleep(100)

        began = now()
        response = await world.client.post("/", content=upload())
        return response.status, now() - began

    status, took = in_world(app, scenario, server_settings=h3push.ServerSettings(read_timeout=5))
    assert status == 408
    assert 5 <= took < 6


def test_a_response_field_that_would_break_out_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """A line break in what an application sends is its error: 500, and nothing of the field goes out."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, headers=[(b"x-user", b"a\r\nset-cookie: b=c")])

    response, _ = get(app)
    assert response.status == 500
    assert "set-cookie" not in response.headers


def test_connect_is_not_for_applications() -> None:
    """ASGI has no scope for tunnels, and a 2xx would open one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it was called")

    async def scenario(world: World) -> int:
        connect = RequestHead(b"CONNECT", None, b"tunnel.example:1", None, (), None)
        [connection] = world.server.server._connections
        answer = ASGIHandler(app)(h3push.Request(connection, connection.pushes, 0, connect))
        assert isinstance(answer, h3push.Response)
        return answer.status

    assert in_world(app, scenario) == 501
