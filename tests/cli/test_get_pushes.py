"""Pushes that go wrong, and interim responses, in `h3push get`."""

import json

import pytest

from h3push.h3.config import H3Config
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
    assert {name: end[:2] for name, end in ends.items()} == {
        "whole": ("fulfilled", len("content of /whole")),
        "never": ("failed", 0),
        "stops": ("failed", 5),
    }
    assert ends["whole"][2] is None
    assert all("0.3 s (push_timeout)" in ends[name][2] for name in ("never", "stops"))
    assert told["push_counts"] == {"fulfilled": 1, "failed": 2}
    assert "error" not in told
    assert result.err.endswith("* 3 promised: 2 failed, 1 unclaimed\n")


def test_pushes_that_max_time_cuts_off_are_no_promises_any_more(run, stalling):
    """Every push has an end in the report, those too that were under way when the command ended."""
    result = run("get", "-k", "--json", "-m", "0.5", stalling.url, f"{stalling.url}other")
    told = json.loads(result.out.splitlines()[0])["pushes"]
    ends = {push["url"].rpartition("/")[2]: (push["state"], push["reason"]) for push in told}
    early = "the command ended before it was there"
    assert ends == {"whole": ("fulfilled", None), "never": ("failed", early), "stops": ("failed", early)}
    assert result.code == 28


def test_a_response_that_is_held_open_for_promises_does_not_hold_the_command(run, start):
    """A server may leave the stream of a complete response open (issue 9, point 42); that too has --push-timeout."""

    async def handler(request):
        await request.start_response(200, {"content-length": "4"})
        await request.send(b"page")
        await request.wait_disconnected()

    open_ended = start(handler)
    result = run("get", "-k", "--push-timeout", "0.3", open_ended.url)
    assert (result.code, result.out, result.err) == (0, b"page", "")


def test_interim_responses_are_shown(run, start):
    """-v, -i and --json show 103s, before the response that they came before (issue 9, point 32)."""

    async def handler(request):
        await request.send_informational(103, {"link": "</style.css>; rel=preload"})
        return Response(200, {"x-final": "yes"}, "page")

    hinting = start(handler)
    url = hinting.url
    included = run("get", "-k", "-i", url).out
    assert included.startswith(b"HTTP/3 103 \r\nlink: </style.css>; rel=preload\r\n\r\nHTTP/3 200 \r\n")
    assert included.endswith(b"\r\n\r\npage")
    verbose = run("get", "-k", "-v", url).err
    assert "< HTTP/3 103\n< link: </style.css>; rel=preload\n<\n< HTTP/3 200\n" in verbose
    told = json.loads(run("get", "-k", "--json", url).out)
    assert told["informational"] == [{"status": 103, "headers": [["link", "</style.css>; rel=preload"]]}]
    assert told["status"] == 200


def test_promises_that_are_refused_are_shown_with_their_reason(run, start, tmp_path):
    """A server whose promises cannot be used would otherwise look like one that pushes nothing (issue 9, point 43)."""

    async def handler(request):
        if request.path == "/":
            request.push_nowait("/refused", authority="other.example:1")
            request.push_nowait("/taken")
        return Response(200, {}, "content")

    config = H3Config(push_authorities=(b"other.example:1",))
    server = start(handler, config=config)
    flags = ("--waterfall", "--har", tmp_path / "har", "-w", "%{stderr}%{num_pushes} %{num_pushes_used}\\n")
    result = run("get", "-k", "-v", "--json", *flags, server.url)
    assert result.code == 0
    told = json.loads(result.out)
    refused = told["pushes"][-1]
    assert (refused["state"], refused["url"], refused["status"]) == ("refused", "https://other.example:1/refused", None)
    assert "does not speak for this authority" in refused["reason"]
    assert told["push_counts"] == {"fulfilled": 1, "refused": 1}
    assert "* 2 promised: 1 refused, 1 unclaimed\n" in result.err
    assert f"refused    https://other.example:1/refused  ({refused['reason']})\n" in result.err
    assert result.err.endswith("2 0\n")


def test_pushes_without_end_do_not_fill_the_memory(run, start, monkeypatch):
    """Beyond `MAX_PUSHES` pushes are called off and counted, without a record; refusals the same."""
    monkeypatch.setattr("h3push.cli.pushes.MAX_PUSHES", 2)

    async def handler(request):
        if request.path == "/":
            for number in range(300):
                request.push_nowait(f"/{number}", authority="other.example:1")
            for number in range(5):
                request.push_nowait(f"/{number}")
        return Response(200, {}, "content")

    server = start(handler, config=H3Config(push_authorities=(b"other.example:1",)))
    result = run("get", "-k", "-v", "--json", "--max-pushes", "1000", server.url)
    told = json.loads(result.out)
    assert told["push_counts"] == {"fulfilled": 2, "cancelled": 3, "refused": 300}
    assert len(told["pushes"]) == 2 + 256
    assert result.err.endswith("* 47 of them are not in the table: they are too many\n")
