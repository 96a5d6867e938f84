"""What applications say about their pages in Link values: early hints, interim responses, the response itself."""

from h3push.asgi.types import Message
from h3push.delivery.decision import Moment
from h3push.delivery.page import PageDelivery
from h3push.http.fields import Field
from h3push.plans.links import sort_links

EARLY_HINTS = 103
"""The status that carries Link fields (RFC 8297)."""


def page_url(delivery: PageDelivery) -> str:
    """The absolute URL of the page that is being answered."""
    request = delivery.request
    return f"https://{request.authority}{request.path}"


def deliver_early_hint(delivery: PageDelivery, message: Message) -> None:
    """`http.response.early_hint`: each of `links` is a Link value. After the start, pushes are all that it can still cause."""
    values = [bytes(value) if not isinstance(value, str) else value.encode("latin-1") for value in message["links"]]
    delivery.carry_out_links(sort_links(values, page_url(delivery)))


def deliver_informational(delivery: PageDelivery, message: Message) -> None:
    """Gunicorn's event: the Link values of a 103 count as above; its other fields, and other statuses, are sent as they are."""
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
    """The Link fields of the final response: pushed to who agreed; who did not has them in the response itself.

    Nothing is pushed with a response that is not the page: a redirect, an error, "not modified". What waits to be hinted at
    goes out first.
    """
    delivery.flush_hints()
    if not 200 <= status < 300:
        return
    delivery.carry_out_held()
    links = [value for name, value in fields if name == b"link"]
    if links and delivery.takes_pushes:
        delivery.carry_out_links(sort_links(links, page_url(delivery)), moment=Moment.START)
