"""Pushes that go wrong, and interim responses, in `h3push get`."""

import json

import pytest

from h3push.server.response import Response


@pytest.fixture(scope="session")
def stalling(start):
    """A page whose pushes never begin, stop in mid-body, or are whole."""

    async def handler(request):
        if request.path == "/never":
            await request.wait_disconnected()
        if request.path == "/stops":
            await request.start_response(200)
            await request.send(b"begin")
            await request.wait_disconnected()
        if request.path == "/":
            await request.push("/whole")
            await request.push("/never")
            await request.push("/stops")
        return Response(200, {"content-type": "text/plain"}, f"content of {request.path}")

    return start(handler)


def test_pushes_that_never_end_do_not_hold_the_command(run, stalling):
    """Once the response is complete, pushes on which nothing comes have --push-timeout, then fail; exit 0 (issue 9, point 42)."""
    result = run("get", "-k", "-v", "--json", "--push-timeout", "0.3", stalling.url)
    assert result.code == 0
    told = json.loads(result.out)
    ends = {
        push["url"].rpartition("/")[2]: (push["state"], push["body_bytes"], push["reason"]) for push in told["pushes"]
    }
    given_up = "nothing came for 0.3 s (--push-timeout)"
    assert ends == {
        "whole": ("fulfilled", len("content of /whole"), None),
        "never": ("failed", 0, given_up),
        "stops": ("failed", 5, given_up),
    }
    assert told["push_counts"] == {"fulfilled": 1, "failed": 2}
    assert "error" not in told
    assert result.err.endswith("* 3 promised: 2 failed, 1 fulfilled\n")


def test_a_response_that_is_held_open_for_promises_does_not_hold_the_command(run, start):
    """A server may leave the stream of a complete response open; that too has --push-timeout (issue 9, point 42)."""

    async def handler(request):
        await request.start_response(200, {"content-length": "4"})
        await request.send(b"page")
        await request.wait_disconnected()

    open_ended = start(handler)
    result = run("get", "-k", "--push-timeout", "0.3", open_ended.url)
    assert (result.code, result.out, result.err) == (0, b"page", "")
    assert run("get", "-k", "--push", "off", open_ended.url).out == b"page"


def test_interim_responses_are_shown(run, start):
    """-v, -i and --json show 103s, before the response that they came before (issue 9, point 32)."""

    async def handler(request):
        await request.send_informational(103, {"link": "</style.css>; rel=preload"})
        return Response(200, {"x-final": "yes"}, "page")

    hinting = start(handler)
    url = hinting.url
    included = run("get", "-k", "-i", url).out
    assert included.startswith(b"HTTP/3 103\r\nlink: </style.css>; rel=preload\r\n\r\nHTTP/3 200\r\n")
    assert included.endswith(b"\r\n\r\npage")
    verbose = run("get", "-k", "-v", url).err
    assert "< HTTP/3 103\n< link: </style.css>; rel=preload\n<\n< HTTP/3 200\n" in verbose
    told = json.loads(run("get", "-k", "--json", url).out)
    assert told["informational"] == [{"status": 103, "headers": [["link", "</style.css>; rel=preload"]]}]
    assert told["status"] == 200
