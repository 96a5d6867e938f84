"""Everything that `h3push get` fetched, as far as it has come: what its reports are made of.

All times are in seconds since the command began to fetch, which is before the first name is looked up.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from h3push.cli.options.request import Request
from h3push.client.answer import Answer
from h3push.client.exchange import SentRequest
from h3push.http.fields import Field
from h3push.http.headers import Headers

Address = tuple[str, int]
"""Host and port; an IPv6 address without brackets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A response, without its content."""

    status: int
    """The status code."""
    headers: Headers
    """The header fields."""
    informational: Sequence[tuple[int, Headers]] = ()
    """Interim responses that came before it."""
    http_version: str = "3"
    """The HTTP version, as curl writes it."""
    answered: SentRequest | None = None
    """The request that it answers: promises name the same object."""

    @classmethod
    def of(cls, answer: Answer) -> "Reply":
        """Take over what an answer says."""
        response = answer.response
        interim = () if response is None else response.informational
        answered = None if response is None else response.request
        return cls(status=answer.status, headers=answer.headers, informational=interim, answered=answered)


@dataclass(slots=True)
class PushRecord:
    """The fate of one push."""

    push_id: int
    """The push ID; of the connection that it came on."""
    url: str
    """URL of the promised request."""
    method: str
    """Method of the promised request."""
    promised: float | None
    """When the promise came; `None` for one that was refused."""
    fields: Sequence[Field]
    """Header fields of the promised request."""
    initiator: SentRequest | None = None
    """The request that the promise came with."""
    response: Reply | None = None
    """The pushed response, once its header section is there."""
    first_byte: float | None = None
    """When its header section came."""
    body_bytes: int = 0
    """Content received, in bytes."""
    body_sha256: str | None = None
    """SHA-256 of the content, hexadecimal; `None` unless all of it was read."""
    state: str = "promised"
    """At the end `fulfilled`, `cancelled`, `failed` or `refused`."""
    claimed: bool = False
    """True when it answered a request."""
    done: float | None = None
    """When it was complete or ended early."""
    reason: str = ""
    """Why it is not fulfilled, or was not claimed."""

    @property
    def status(self) -> int | None:
        """Status of the pushed response, when there was one."""
        return None if self.response is None else self.response.status

    @property
    def mark(self) -> str:
        """One word: `claimed`, `unclaimed`, or the way in which it is not whole."""
        if self.state != "fulfilled":
            return self.state
        return "claimed" if self.claimed else "unclaimed"


@dataclass(slots=True)
class Exchange:
    """One request and its response."""

    request: Request
    """The request."""
    started: float
    """When the request went out, or the push that answers it was taken."""
    begun: float
    """When it was wanted: before there was a connection."""
    looked_up: float | None = None
    """When the host's address was known, where a connection was made for it."""
    connected: float | None = None
    """When there was that connection."""
    remote: Address | None = None
    """The server's address; `None` for an answer by a push."""
    push: PushRecord | None = None
    """The push that answered it; nothing was sent then."""
    response: Reply | None = None
    """The response, once its header section is there."""
    first_byte: float | None = None
    """When the header section was there."""
    body_bytes: int = 0
    """Its content so far, in bytes, as they were on the wire."""
    done: float | None = None
    """When it was complete."""


@dataclass(slots=True)
class FetchOutcome:
    """One command: all its URLs, and all pushes."""

    started_at: float = 0.0
    """The start, in seconds since the epoch."""
    transfers: "list[Fetched]" = field(default_factory=list)
    """One for each URL, in the order in which they were typed; of each the last attempt."""
    pushes: list[PushRecord] = field(default_factory=list)
    """In the order of the promises."""
    unrecorded: Counter[str] = field(default_factory=Counter)
    """States of the pushes beyond those, which were too many to remember."""
    time_total: float = 0.0
    """When the last response and the last push were over, or the command failed."""

    def push_counts(self) -> Counter[str]:
        """How many pushes ended in each state."""
        return +(Counter(push.state for push in self.pushes) + self.unrecorded)

    def mark_counts(self) -> Counter[str]:
        """How many pushes have each mark."""
        return +(Counter(push.mark for push in self.pushes) + self.unrecorded)

    def everything(self) -> "list[Fetched]":
        """All URLs, and their assets."""
        return [one for fetched in self.transfers for one in (fetched, *fetched.assets)]

    def exchanges(self) -> list[Exchange]:
        """All requests, and what pushes answered."""
        return [exchange for fetched in self.everything() for exchange in fetched.exchanges]

    def exchange_of(self, initiator: SentRequest | None) -> Exchange | None:
        """The exchange that a request belongs to, once it is answered."""
        for exchange in self.exchanges():
            if exchange.response is not None and exchange.response.answered is initiator is not None:
                return exchange
        return None

    def pushes_with(self, fetched: "Fetched") -> list[PushRecord]:
        """The pushes that came with one URL; the first one has those of which that is not known."""
        mine, of_others = _answered(fetched), set()
        for other in self.transfers:
            if other is not fetched:
                of_others |= _answered(other)
        if self.transfers and self.transfers[0] is fetched:
            return [push for push in self.pushes if id(push.initiator) not in of_others]
        return [push for push in self.pushes if id(push.initiator) in mine]


def _answered(fetched: "Fetched") -> set[int]:
    replies = [exchange.response for one in (fetched, *fetched.assets) for exchange in one.exchanges]
    return {id(reply.answered) for reply in replies if reply is not None and reply.answered is not None}


@dataclass(slots=True)
class Fetched:
    """One URL."""

    url: str
    """The URL that was asked for first."""
    outcome: FetchOutcome = field(default_factory=FetchOutcome)
    """The command that it is a part of."""
    started: float = 0.0
    """When its turn came."""
    exchanges: list[Exchange] = field(default_factory=list)
    """The request, and one more for each redirect that was followed."""
    time_total: float = 0.0
    """When it was over; for the last one, the last push too."""
    assets: "list[Fetched]" = field(default_factory=list)
    """Everything that the page names, with `--assets`, in the order in which it was found."""
    left_out: int = 0
    """Assets beyond the bound on their number."""
    error: str = ""
    """Why an asset did not come."""

    @property
    def connects(self) -> int:
        """Connections that were made for it."""
        return sum(exchange.connected is not None for exchange in self.exchanges)

    @property
    def last(self) -> Exchange | None:
        """The exchange that the others led to."""
        return self.exchanges[-1] if self.exchanges else None

    @property
    def response(self) -> Reply | None:
        """The response that the others led to."""
        return self.last.response if self.last is not None else None
