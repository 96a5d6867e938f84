"""The events by which an application says what goes with its response: pushes, early hints, interim responses, Link fields.

None of them raises for what it names: a path that cannot be pushed is refused and counted, a Link value that makes no sense is
left out. They differ in where the names come from; `PageDelivery` decides for all of them how the client learns of a resource.
"""

from dataclasses import dataclass

from h3push.asgi.types import Message
from h3push.delivery.decision import Moment, target_to_push
from h3push.delivery.page import Delivered, PageDelivery
from h3push.h3.push.rules import PushRefusal
from h3push.http.fields import Field
from h3push.http.priority import Priority, parse_priority
from h3push.http.semantics import PUSHABLE_METHODS
from h3push.plans.links import planned, sort_links
from h3push.plans.plan import PlannedResource

EARLY_HINTS = 103
"""The status that carries Link fields (RFC 8297)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOptions:
    """The wishes of an application about a push, beside its path."""

    destination: str | None = None
    """The resource's role in the page (`as` of a preload link); `None`: by its extension."""
    fields: tuple[Field, ...] = ()
    """Fields of the promised request, names in lower case."""
    method: str = "GET"
    """GET or HEAD."""
    priority: Priority | None = None
    """RFC 9218 priority among pushes; `None`: by its role."""
    credentials: bool = False
    """Promise with the cookies and the authorization of the page's request."""


def deliver_path(delivery: PageDelivery, path: object, options: PushOptions) -> Delivered:
    """Deliver the resource that an application names by a path."""
    target = target_to_push(path, page_url(delivery))
    if isinstance(target, PushRefusal):
        return delivery.refuse(path, target)
    if options.method.encode("latin-1", "replace") not in PUSHABLE_METHODS:
        return delivery.refuse(path, PushRefusal.METHOD)
    found = planned(target, options.destination, delivery.request.path)
    resource = PlannedResource(
        target,
        found.kind,
        found.stage,
        found.named_in,
        method=options.method,
        fields=options.fields,
        wanted_priority=options.priority,
    )
    return delivery.deliver(resource, credentials=options.credentials)


def deliver_push(delivery: PageDelivery, message: Message) -> Delivered:
    """`http.response.push`: `path` and `headers` are ASGI's; `as`, `method` and `priority` are ours and optional."""
    destination, priority = message.get("as"), message.get("priority")
    options = PushOptions(
        destination=None if destination is None else str(destination),
        fields=tuple((bytes(name).lower(), bytes(value)) for name, value in message.get("headers", ())),
        method=str(message.get("method", "GET")),
        priority=None if priority is None else parse_priority(str(priority).encode("latin-1", "replace")),
    )
    return deliver_path(delivery, message.get("path"), options)


def deliver_early_hint(delivery: PageDelivery, message: Message) -> None:
    """`http.response.early_hint`: each of `links` is a Link value. After the start, it can only cause pushes."""
    values = [bytes(value) if not isinstance(value, str) else value.encode("latin-1") for value in message["links"]]
    delivery.carry_out_links(sort_links(values, page_url(delivery)))


def deliver_informational(delivery: PageDelivery, message: Message) -> None:
    """Gunicorn's event: the Link values of a 103 count as early hints; other fields, and other statuses, are sent as they are."""
    status = int(message["status"])
    fields: list[Field] = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", ())]
    if status == EARLY_HINTS:
        links = [value for name, value in fields if name == b"link"]
        delivery.carry_out_links(sort_links(links, page_url(delivery)))
        fields = [field for field in fields if field[0] != b"link"]
        if not fields:
            return
    if delivery.moment is Moment.BEFORE:
        delivery.hints.send_interim(status, fields)


def deliver_response(delivery: PageDelivery, status: int, fields: list[Field]) -> None:
    """The final response: its Link fields are pushed to a client that agreed; any other has them in the response itself.

    Hints that wait go out first. A redirect, an error and "not modified" are not the page, so nothing is pushed with them.
    """
    delivery.flush_hints()
    if not 200 <= status < 300:
        return
    delivery.carry_out_held()
    links = [value for name, value in fields if name == b"link"]
    if links and delivery.takes_pushes:
        delivery.carry_out_links(sort_links(links, page_url(delivery)), moment=Moment.START)


def page_url(delivery: PageDelivery) -> str:
    """The absolute URL of the page that is being answered."""
    request = delivery.request
    return f"https://{request.authority}{request.path}"
