"""A request that cannot be sent at once: it waits for the handshake, for a sign of life, and for a stream."""

import asyncio

from h3push.client.exchange import Exchange
from h3push.client.limits import Limits
from h3push.client.session import ClientSession
from h3push.errors import NoStreamCredit, PoolTimeout
from h3push.http.fields import RequestHead
from h3push.http.priority import Priority


async def open_in_turn(
    connection: ClientSession, head: RequestHead, limits: Limits, *, end_stream: bool, priority: Priority | None
) -> Exchange:
    """Send a request's header section as soon as the handshake is done, the server is there and allows one more.

    Raises what `Exchanges.open` raises but `NoStreamCredit`, and `PoolTimeout`.
    """
    if not connection.may_be_sent(head, end_stream):
        await connection.handshake.wait()
    try:
        async with asyncio.timeout(limits.pool):
            while True:
                if connection.doubt is not None:
                    await connection.doubt.wait()
                try:
                    return connection.open(head, limits, end_stream=end_stream, priority=priority)
                except NoStreamCredit:
                    await connection.credit.wait()
    except TimeoutError:
        connection.ask_for_life()
        sentence = f"the server allowed no further request within {limits.pool:g} s (request_timeout)"
        raise PoolTimeout(sentence) from None
