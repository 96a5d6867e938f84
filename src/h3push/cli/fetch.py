"""One URL of `h3push get`: its request, those that redirects lead to, and the response to the last."""

from collections.abc import Callable
from contextlib import aclosing

from h3push.cli.options.request import Request
from h3push.cli.outcome import Address, Exchange, Fetched, Reply
from h3push.cli.pushes import Expectation
from h3push.cli.sender import Arrival, Sender


class Sink:
    """Takes what comes; the base throws it away."""

    def prepares(self, request: Request) -> Request:
        """Give the request as it is to be sent: the last chance for cookies."""
        return request

    def connected(self, remote: Address, http_version: str, seconds: float) -> None:
        """Note that a connection was opened, and how many seconds that took."""

    def falls_back(self, why: str) -> None:
        """Note that HTTP/3 does not answer, and another version is tried."""

    def sending(self, request: Request, http_version: str) -> None:
        """Note that the request goes out."""

    def claims(self, request: Request) -> None:
        """Note that a push answers the request."""

    def begin(self, reply: Reply) -> None:
        """Take the header section. Raise to fetch no further."""

    def write(self, data: bytes) -> None:
        """Take a piece of content."""

    def end(self) -> None:
        """Note that the content is complete."""


Follow = Callable[[Request, Reply], Request | None]
"""Gives the request that a response leads to; `None` when it is the one that was wanted."""


async def fetch(
    sender: Sender, request: Request, sink: Sink, fetched: Fetched, follow: Follow | None, expectation: Expectation
) -> None:
    """Send the request, and give the response to `sink`; `fetched` tells how far it has come.

    Args:
        sender: sends it.
        request: the first one.
        sink: takes the response.
        fetched: takes the record.
        follow: leads on, where redirects are followed.
        expectation: ends as soon as no further request comes.

    Raises: H3PushError: no connection, or the response failed; the message is a sentence.
    """
    wanted: Request | None = request
    try:
        while wanted is not None:
            arrival = await sender.send(sink.prepares(wanted), fetched, sink, None if follow else expectation)
            exchange = fetched.exchanges[-1]
            _note_beginning(exchange, arrival, sender)
            sink.begin(arrival.reply)
            wanted = follow(wanted, arrival.reply) if follow else None
            if wanted is None:
                expectation.end()
            async with aclosing(arrival.stream()) as content:
                async for data in content:
                    exchange.body_bytes += len(data)
                    if wanted is None:
                        sink.write(data)
            exchange.done = sender.since_start(arrival.ended, exchange.started)
        sink.end()
    finally:
        fetched.time_total = sender.since_start(None)


def _note_beginning(exchange: Exchange, arrival: Arrival, sender: Sender) -> None:
    exchange.response, exchange.push = arrival.reply, arrival.push
    exchange.first_byte = sender.since_start(arrival.began, exchange.started)
