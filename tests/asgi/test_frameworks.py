"""What frameworks do by themselves: their push, their early hints, their middleware, their files."""

import asyncio
import io
import logging
from typing import Any

import pytest

import h3push
from h3push.server.access_log import AccessLog

from .harness import World, hints, in_world, now, pushed_paths

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route


def visit(app: Any, path: str = "/", *, max_pushes: int | None = 10, **options: Any) -> Any:
    async def scenario(world: World) -> Any:
        response = await world.client.get(path, headers={"accept-encoding": "gzip"})
        return await pushed_paths(response), response

    return in_world(app, scenario, max_pushes=max_pushes, lifespan=True, **options)


async def style(request: Request) -> Response:
    return PlainTextResponse(request.headers.get("accept-encoding", "") + " style")


def site(endpoint: Any, *middleware: Any) -> Starlette:
    return Starlette(routes=[Route("/", endpoint), Route("/style.css", style)], middleware=list(middleware))


async def own_push(request: Request) -> Response:
    await request.send_push_promise("/style.css?v=1")
    return PlainTextResponse("page" * 200)


async def pass_on(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    return response


def test_starlette_s_own_push() -> None:
    """`send_push_promise` before the response, as Starlette does it."""
    assert visit(site(own_push))[0] == ["/style.css?v=1"]


def test_starlette_s_own_early_hints() -> None:
    """`send_early_hints`: pushed where agreed, 103 elsewhere, middleware or not."""

    async def page(request: Request) -> Response:
        await request.send_early_hints("</style.css>; rel=preload; as=style")
        await asyncio.sleep(0.3)
        return PlainTextResponse("page")

    for middleware in ([], [Middleware(BaseHTTPMiddleware, dispatch=pass_on), Middleware(GZipMiddleware)]):
        app = site(page, *middleware)
        assert visit(app)[0] == ["/style.css"]
        assert hints(visit(app, max_pushes=None)[1]) == ["</style.css>; rel=preload; as=style"]


def test_middleware_that_fails_on_the_event_does_not_break_the_page(caplog: pytest.LogCaptureFixture) -> None:
    """`BaseHTTPMiddleware` raises on servers that offer the event: there it is not offered, and the log says why."""
    with caplog.at_level(logging.WARNING):
        paths, response = visit(site(own_push, Middleware(BaseHTTPMiddleware, dispatch=pass_on)))
    assert (paths, response.status) == ([], 200)
    assert "h3push.push" in caplog.text


@pytest.mark.parametrize("kind", [BaseHTTPMiddleware, GZipMiddleware])
@pytest.mark.parametrize("max_pushes", [10, None])
def test_the_helper_goes_around_middleware(kind: Any, max_pushes: int | None) -> None:
    """The four cells of the table in which the event fails or is dropped."""

    async def page(request: Request) -> Response:
        await h3push.push(request, "/style.css")
        await asyncio.sleep(0.3)
        return PlainTextResponse("page" * 200)

    options = {"dispatch": pass_on} if kind is BaseHTTPMiddleware else {}
    paths, response = visit(site(page, Middleware(kind, **options)), max_pushes=max_pushes)
    assert paths == (["/style.css"] if max_pushes else [])
    assert hints(response) == ([] if max_pushes else ["</style.css>; rel=preload; as=style"])


@pytest.mark.parametrize("kind", [BaseHTTPMiddleware, GZipMiddleware])
def test_the_helper_works_while_streaming(kind: Any) -> None:
    """A push in the midst of the content, through middleware."""

    async def page(request: Request) -> Response:
        async def content() -> Any:
            yield b"first"
            await h3push.push(request, "/style.css")
            yield b"second"

        return StreamingResponse(content())

    options = {"dispatch": pass_on} if kind is BaseHTTPMiddleware else {}
    paths, _ = visit(site(page, Middleware(kind, **options)))
    assert paths == ["/style.css"]


def test_a_link_field_passes_every_middleware() -> None:
    """It is an ordinary field."""

    async def page(request: Request) -> Response:
        return PlainTextResponse("page" * 200, headers={"link": "</style.css>; rel=preload; as=style"})

    both = [Middleware(BaseHTTPMiddleware, dispatch=pass_on), Middleware(GZipMiddleware)]
    assert visit(site(page, *both))[0] == ["/style.css"]


def test_the_helper_works_in_a_mounted_application() -> None:
    """A mounted application has a scope of its own with the same extensions; paths to push are those of the server."""

    async def page(request: Request) -> Response:
        await h3push.push(request, "/style.css")
        return PlainTextResponse("page")

    app = Starlette(routes=[Mount("/sub", site(page)), Route("/style.css", style)])
    assert visit(app, "/sub/")[0] == ["/style.css"]


def test_files_go_out_by_their_path(tmp_path: Any) -> None:
    """Starlette's `FileResponse` uses `http.response.pathsend` where it is offered."""
    (tmp_path / "large").write_bytes(bytes(range(256)) * 4_000)
    status = (tmp_path / "large").stat()

    async def page(request: Request) -> Response:
        # Starlette would look the file up in a thread, and a thread brings the real clock back in.
        return FileResponse(tmp_path / "large", stat_result=status)

    async def scenario(world: World) -> bytes:
        return await (await world.client.get("/")).read()

    assert in_world(site(page), scenario) == (tmp_path / "large").read_bytes()


def test_the_log_does_not_wait_for_background_work() -> None:
    """A response is over when it is sent, whatever the application does afterwards."""
    stream = io.StringIO()
    finished = []

    async def work() -> None:
        await asyncio.sleep(100)
        finished.append(now())

    async def page(request: Request) -> Response:
        return PlainTextResponse("page", background=BackgroundTask(work))

    async def scenario(world: World) -> str:
        await (await world.client.get("/")).read()
        early = stream.getvalue()
        await asyncio.sleep(200)
        assert stream.getvalue() == early
        return early

    settings = h3push.ServerSettings(idle_timeout=1_000)
    clients = h3push.ClientSettings(idle_timeout=1_000)
    log = in_world(
        site(page), scenario, access_log=AccessLog(stream), server_settings=settings, client_settings=clients
    )
    assert log.endswith('"GET / HTTP/3" 200 4\n')
    assert len(finished) == 1


def test_a_disconnected_stream_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    """Starlette stops streaming when the client has gone, and that is no error in the log."""

    async def page(request: Request) -> Response:
        async def content() -> Any:
            while True:
                yield bytes(1_000)
                await asyncio.sleep(0.1)

        return StreamingResponse(content())

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        await response.close()
        await asyncio.sleep(5)

    with caplog.at_level(logging.INFO):
        in_world(site(page), scenario)
    assert caplog.text == ""
