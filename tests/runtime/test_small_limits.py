"""A peer's limit on header sections costs the message that is over it, and nothing else."""

import asyncio
import gc

import pytest

import h3push
from h3push.h3.config import H3Config

from .harness import in_world


def large(_request: h3push.Request) -> h3push.Response:
    return h3push.Response(200, {"x-large": "x" * 500}, b"ok")


async def large_later(request: h3push.Request) -> h3push.Response:
    await asyncio.sleep(0)
    return large(request)


def streamed(request: h3push.Request) -> h3push.Response:
    async def pieces():
        yield b"ok"

    return h3push.Response(200, {"x-large": "x" * 500}, pieces())


async def outcome(client: h3push.ClientConnection) -> int:
    """The status of a response, or the code of its reset."""
    try:
        response = await client.get("/")
        await response.read()
    except h3push.StreamFailed as error:
        return error.error_code
    return response.status


@pytest.mark.parametrize("limit", [50, 100, 300])
@pytest.mark.parametrize("handler", [large, large_later, streamed])
def test_an_answer_over_the_client_s_limit_costs_its_stream(handler, limit, caplog):
    """SETTINGS_MAX_FIELD_SECTION_SIZE that nothing fits: each response is 500 or a reset, and the connection lives."""
    unhandled, outcomes = [], set()

    async def scenario(world):
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        for _ in range(3):
            outcomes.add(await outcome(world.client))
        gc.collect()
        await asyncio.sleep(1)
        return world.server.counters.connections, world.server.counters.failed

    config = H3Config(max_field_section_size=limit, max_encoded_field_section_size=100_000)
    assert in_world(handler, scenario, client_config=config) == (1, 3)
    assert outcomes <= {500, h3push.ErrorCode.H3_INTERNAL_ERROR}
    assert unhandled == []
    assert "failed inside h3push" not in caplog.text


@pytest.mark.parametrize("limit", [50, 100, 300])
def test_a_push_over_the_client_s_limit_is_called_off(limit):
    """A pushed response, or its promise, that is over the client's limit is no push; the page is there all the same."""

    def handler(request: h3push.Request) -> h3push.Response:
        if request.path != "/":
            return large(request)
        request.push_nowait("/pushed")
        return h3push.Response(200, content=b"page")

    async def scenario(world):
        response = await world.client.get("/")
        content = await response.read()
        await asyncio.sleep(1)
        return content, world.server.counters.connections

    config = H3Config(max_field_section_size=limit)
    try:
        content, connections = in_world(handler, scenario, client_config=config, max_pushes=5)
    except h3push.StreamFailed:
        assert limit < 300, "the page itself does not fit"
    else:
        assert (content, connections) == (b"page", 1)


def test_a_refusal_over_the_client_s_limit_costs_its_stream():
    """A client that takes no field at all gets a reset where its request is answered 421; the connection lives."""

    async def scenario(world):
        for _ in range(3):
            with pytest.raises(h3push.StreamFailed):
                await world.client.get("/")
        return world.server.counters.connections, world.server.counters.rejected

    client = H3Config(max_field_section_size=10)
    settings = h3push.ServerSettings(authorities=("other.example",))
    assert in_world(large, scenario, client_config=client, server_settings=settings) == (1, 3)
