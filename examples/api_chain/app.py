"""A REST API whose client says what it will ask for next, in the field that Vulcain uses; the server pushes it.

    h3push serve examples.api_chain.app:app --dev

A resource names others by their paths. `Preload` on a request is a list of selectors into its answer, as deep as they like:

    GET /shop
    Preload: "/orders/*/items/*/product"

"Of the shop that I get, I will ask for each order, for each of its items, and for the product of each." Without pushes that is a
round trip a level, because no level is known before the one above it is there. With them it is one round trip in all.
"""

import json
from collections.abc import Iterator
from typing import Any

import http_sf
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import h3push

ORDERS, ITEMS = 3, 4


def resource(path: str) -> dict[str, Any] | None:
    """A resource of the shop; in an application of yours, the database."""
    kind, _, number = path.removeprefix("/").partition("/")
    if kind == "shop":
        return {"name": "Shop", "orders": [f"/orders/{one}" for one in range(ORDERS)]}
    if kind == "orders" and number.isdigit() and int(number) < ORDERS:
        first = int(number) * ITEMS
        return {"number": int(number), "items": [f"/items/{first + one}" for one in range(ITEMS)]}
    if kind == "items" and number.isdigit() and int(number) < ORDERS * ITEMS:
        return {"count": 1 + int(number) % 3, "product": f"/products/{int(number) % 10}"}
    if kind == "products" and number.isdigit() and int(number) < 10:
        return {"name": f"Product {number}", "price": f"{10 + int(number)}.00"}
    return None


def named_by(value: Any, selector: list[str]) -> Iterator[tuple[str, list[str]]]:
    """The paths that a selector names in a value, each with the rest of the selector, which is about what stands there."""
    if isinstance(value, str) and value.startswith("/"):
        yield value, selector
    elif selector:
        step, rest = selector[0], selector[1:]
        if step == "*" and isinstance(value, list):
            for one in value:
                yield from named_by(one, rest)
        elif isinstance(value, dict) and step in value:
            yield from named_by(value[step], rest)


def selected(path: str, selectors: list[list[str]]) -> dict[str, None]:
    """Every path that the selectors lead to from a resource, level by level."""
    found: dict[str, None] = {}
    level = [(path, selector) for selector in selectors]
    while level:
        below = [step for at, selector in level for step in named_by(resource(at), selector)]
        found.update(dict.fromkeys(at for at, _ in below))
        level = [(at, selector) for at, selector in below if selector]
    return found


def selectors_of(request: Request) -> list[list[str]]:
    """The selectors of `Preload`; what makes no sense is none."""
    try:
        items = http_sf.parse(request.headers.get("preload", "").encode("latin-1"), tltype="list")
    except ValueError:
        return []
    return [one.strip("/").split("/") for one, _ in items if isinstance(one, str) and one.startswith("/")]


async def answer(request: Request) -> Response:
    path = request.url.path
    found = resource(path)
    if found is None:
        return Response(status_code=404)
    wanted = list(selected(path, selectors_of(request)))
    if wanted:
        await h3push.push(request, *wanted, as_="fetch")
    body = json.dumps(found)
    return Response(body, media_type="application/json", headers={"cache-control": "private, max-age=5"})


app = Starlette(routes=[Route("/{path:path}", answer)])
