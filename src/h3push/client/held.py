"""One push that waits for its request."""

from dataclasses import dataclass

from h3push.client.claims import credentials_of
from h3push.client.exchange import PushedExchange
from h3push.client.response import ReceivedPush
from h3push.http.fields import RequestHead
from h3push.runtime.signal import Signal


@dataclass(slots=True, eq=False)
class Held:
    """One push that waits for its request."""

    push: ReceivedPush
    """Keeps it from being called off."""
    exchange: PushedExchange
    is_wanted: bool = False
    """True while a request waits for it."""
    verdict: Signal | None = None
    """Set when the application has decided about it."""

    @property
    def promised(self) -> RequestHead:
        """The promised request."""
        return self.exchange.request.head

    @property
    def initiator(self) -> RequestHead:
        """The request that the promise came with."""
        return self.exchange.initiator.head


def is_the_same(one: Held, other: Held) -> bool:
    """True when the same was promised to the same user."""
    return one.promised.fields == other.promised.fields and credentials_of(one.initiator) == credentials_of(
        other.initiator
    )
