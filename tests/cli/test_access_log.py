"""The access log of `h3push serve`, whichever way a response goes out."""

import io

import pytest

from h3push.aio.response import Response
from h3push.cli.access_log import LoggedHandler
from h3push.server.access_log import AccessLog


@pytest.fixture
def log(start, run):
    """Have a handler answer one request; the lines of the log without the client's address."""

    def log(handler):
        stream = io.StringIO()
        server = start(LoggedHandler(handler, AccessLog(stream)))
        result = run("get", "-k", server.url + "a%0Ab?c")
        return result.code, [line.partition(" ")[2] for line in stream.getvalue().splitlines()]

    return log


async def later(request):
    return Response(200, content=b"later")


async def in_steps(request):
    await request.start_response(201)
    await request.send(b"in steps", end_stream=True)


def in_pieces(request):
    return Response(200, content=[b"piece", b"piece"])


def broken(request):
    raise RuntimeError("broken")


async def broken_later(request):
    raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("handler", "rest"),
    [
        (lambda request: Response(404, content=b"at once"), "404 7"),
        (later, "200 5"),
        (in_steps, "201 8"),
        (in_pieces, "200 10"),
    ],
)
def test_every_response_is_a_line(log, handler, rest):
    assert log(handler) == (0, [f'"GET /a%0Ab?c HTTP/3" {rest}'])


@pytest.mark.parametrize("handler", [broken, broken_later])
def test_a_handler_that_fails_is_a_line_too(log, handler):
    assert log(handler) == (0, ['"GET /a%0Ab?c HTTP/3" - 0 (failed)'])
