"""One application over HTTP/3, HTTP/2 and HTTP/1.1: it means the same on each.

Every test here runs three times. What differs between the versions stands in one place, in the assertion that names it.
"""

import asyncio
from typing import Any

import h11
import pytest

import h3push

from .clients import VERSIONS

pytest.importorskip("uvicorn")
pytest.importorskip("zttp")

every_version = pytest.mark.parametrize("version", VERSIONS)


async def respond(send: Any, content: bytes = b"", status: int = 200, headers: Any = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": content})


async def whole_content(receive: Any) -> bytes:
    content, more = b"", True
    while more:
        message = await receive()
        content += message["body"]
        more = message["more_body"]
    return content


@every_version
def test_the_scope_says_the_same(served: Any, version: str) -> None:
    """Method, path, query, fields, mount point: all but the version."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.update(scope)
            await respond(send)

    async def scenario(world: Any) -> None:
        await world.get(version, "/caf%C3%A9?q=%20", headers=[(b"x", b"y")])

    served(app, scenario, root_path="/mounted")
    assert seen["http_version"] == version
    assert (seen["type"], seen["scheme"], seen["method"]) == ("http", "https", "GET")
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/caf\xe9", b"/caf%C3%A9", b"q=%20")
    assert seen["root_path"] == "/mounted"
    assert (b"x", b"y") in seen["headers"]
    assert dict(seen["headers"])[b"host"].startswith(b"localhost:")
    assert "http.response.early_hint" in seen["extensions"]
    assert seen["extensions"]["h3push"]["push_id"] is None


@every_version
def test_content_goes_both_ways(served: Any, version: str) -> None:
    """An upload comes back, piece by piece; a request without content is whole at once; HEAD has the fields alone."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        content = await whole_content(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (content[:1000], content[1000:]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def scenario(world: Any) -> None:
        content = bytes(range(256)) * 50
        assert (await world.get(version, method="POST", content=content)).content == content
        assert (await world.get(version)).content == b""
        assert (await world.get(version, method="HEAD")).content == b""

    served(app, scenario)


@every_version
def test_the_lifespan_and_its_state_are_one(served: Any, version: str) -> None:
    """The application starts once and stops once, and every request sees what it put into the state."""
    lives: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for what in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{what}"
                lives.append(what)
                scope["state"]["shared"] = lives
                await send({"type": f"lifespan.{what}.complete"})
            return
        scope["state"]["own"] = "not seen by the next request"
        await respond(send, f"{scope['state']['shared'] is lives} {len(scope['state'])}".encode())

    async def scenario(world: Any) -> None:
        for _ in range(2):
            assert (await world.get(version)).content == b"True 2"

    served(app, scenario)
    assert lives == ["startup", "shutdown"]


@every_version
def test_a_failure_is_answered_with_500_and_counted(served: Any, version: str) -> None:
    """Whatever the application raises before its response, `sys.exit` and a missing response included."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] == "/raises":
            raise RuntimeError("on purpose")
        if scope["path"] == "/exits":
            raise SystemExit(3)

    async def scenario(world: Any) -> None:
        for path in ("/raises", "/exits", "/returns"):
            assert (await world.get(version, path)).status == 500, path
        assert world.server.counters.failed == 3
        assert [row["status"] for row in world.rows()] == [500] * 3

    served(app, scenario)


@every_version
def test_a_failure_after_the_response_is_logged_as_ours(
    served: Any, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As Starlette has it, which answers 500 itself and then raises: one traceback, by the same logger over every version."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"said"})
        raise RuntimeError("on purpose")

    async def scenario(world: Any) -> None:
        answer = await world.get(version)
        assert (answer.status, answer.content) == (500, b"said")
        assert world.server.counters.failed == 1

    served(app, scenario, lifespan=False)
    told = [one for one in caplog.records if one.exc_info]
    assert [one.name for one in told] == ["h3push.server"]
    assert "the handler failed" in told[0].getMessage()


@every_version
def test_a_response_that_breaks_off_does_not_pass_for_whole(served: Any, version: str) -> None:
    """Its client sees an error, its row says that it failed."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("on purpose")

    async def scenario(world: Any) -> None:
        with pytest.raises((h3push.StreamFailed, ConnectionError, h11.RemoteProtocolError)):
            await world.get(version)
        assert [(row["status"], row["outcome"]) for row in world.rows()] == [(200, "failed")]

    served(app, scenario)


WAYS = {"3": (["/a.css"], []), "2": ([], ["/a.css"]), "1.1": ([], [])}
"""By version: what is pushed to a client that takes pushes, and what is hinted at before the response."""


@every_version
@pytest.mark.parametrize("how", ["h3push.push", "early hint", "Link field"])
def test_what_goes_with_a_page_reaches_the_client(served: Any, version: str, how: str) -> None:
    """Pushed over HTTP/3, hinted at over HTTP/2, named in the response over HTTP/1.1: one declaration, whichever it is."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        link, headers = b"</a.css>; rel=preload; as=style", []
        if scope["path"] == "/":
            if how == "h3push.push":
                await h3push.push(scope, "/a.css")
            elif how == "early hint":
                await send({"type": "http.response.early_hint", "links": [link]})
            else:
                headers = [(b"link", link)]
        await respond(send, headers=headers)

    async def scenario(world: Any) -> None:
        answer = await world.get(version, pushes=True)
        pushed, hinted = WAYS[version]
        assert answer.pushed == pushed
        if how != "Link field":
            assert [link.partition(">")[0][1:] for link in answer.hints] == hinted
        if version != "3":
            assert [link.partition(">")[0][1:] for link in answer.links] == ["/a.css"]

    served(app, scenario)


def test_a_hint_leaves_while_the_application_thinks(served: Any) -> None:
    """`h3push.push` needs no further event of the application to take effect: the client has the 103 before the response."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        await h3push.push(scope, "/a.css")
        await asyncio.wait_for(hinted.wait(), 10)
        await respond(send)

    async def scenario(world: Any) -> None:
        assert (await world.get("2", on_hint=hinted.set)).status == 200

    hinted = asyncio.Event()
    served(app, scenario)


@every_version
def test_one_log_and_one_set_of_counters(served: Any, version: str) -> None:
    """A row names the version, status, size and client; a request over TCP counts as one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        await respond(send, b"12345")

    async def scenario(world: Any) -> None:
        await world.get(version, "/path?q", headers=[(b"user-agent", b"me")])
        (row,) = world.rows()
        assert (row["method"], row["path"], row["protocol"]) == ("GET", "/path?q", f"HTTP/{version}")
        assert (row["status"], row["bytes"], row["outcome"], row["user_agent"]) == (200, 5, "complete", "me")
        counters = world.server.counters
        assert (counters.requests, counters.requests_over_tcp) == (1, int(version != "3"))

    served(app, scenario)


@every_version
def test_responses_over_tcp_say_where_http3_is(served: Any, version: str) -> None:
    """Alt-Svc on each, with the port that it listens on; an application's own one stands."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        await respond(send, headers=[(b"alt-svc", b"clear")] if scope["path"] == "/own" else [])

    async def scenario(world: Any) -> None:
        said = (await world.get(version)).all(b"alt-svc")
        assert said == ([] if version == "3" else [f'h3=":{world.port}"; ma=86400'])
        assert (await world.get(version, "/own")).all(b"alt-svc") == ["clear"]

    served(app, scenario)


@every_version
def test_a_request_for_another_authority_is_misdirected(served: Any, version: str) -> None:
    """421 (RFC 9110 section 15.5.20), where the server knows its names."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        await respond(send)

    async def scenario(world: Any) -> None:
        assert (await world.get(version)).status == 421

    served(app, scenario, settings=h3push.ServerSettings(authorities=("other.example",)))


@pytest.mark.parametrize("tcp", ["uvicorn", "hypercorn"])
@every_version
def test_the_handshake_is_told(served: Any, version: str, tcp: str) -> None:
    """ASGI's `tls` extension: what was agreed on, and the certificate that the client was shown."""
    pytest.importorskip(tcp)
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.update(scope["extensions"]["tls"])
            await respond(send)

    async def scenario(world: Any) -> None:
        await world.get(version)

    served(app, scenario, tcp=tcp)
    assert seen["tls_version"] == 0x0304
    assert seen["cipher_suite"] in {0x1301, 0x1302, 0x1303}
    assert seen["server_cert"].startswith("-----BEGIN CERTIFICATE-----\n")
    assert (seen["client_cert_chain"], seen["client_cert_name"], seen["client_cert_error"]) == ([], None, None)


@every_version
def test_fields_that_every_response_gets(served: Any, version: str) -> None:
    """Where the application has none of the name; those of one name that it has stay as they are."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        own = [(b"X-Frame-Options", b"SAMEORIGIN")] if scope["path"] == "/own" else []
        await respond(send, headers=own)

    async def scenario(world: Any) -> None:
        plain, own = await world.get(version, "/plain"), await world.get(version, "/own")
        assert (plain.all(b"x-frame-options"), plain.all(b"x-two")) == (["DENY"], ["a", "b"])
        assert (own.all(b"x-frame-options"), own.all(b"x-two")) == (["SAMEORIGIN"], ["a", "b"])

    served(app, scenario, headers=[("x-frame-options", "DENY"), ("x-two", "a"), ("x-two", "b")], lifespan=False)
