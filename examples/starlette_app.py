"""Starlette: a page that declares what goes with it, once, for every client.

    h3push serve --dev examples.starlette_app:app

A client that takes pushes gets both files with the page; a browser gets 103 Early Hints while the page is being made.
"""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

import h3push

PAGE = (
    '<!doctype html><title>Starlette</title><link rel=stylesheet href="/style.css?v=1"><script src="/app.js"></script>'
)


async def page(request: Request) -> Response:
    await h3push.push(request, "/style.css?v=1", "/app.js")
    await asyncio.sleep(0.3)  # the database
    return HTMLResponse(PAGE)


async def style(_request: Request) -> Response:
    return Response("body { color: teal }", media_type="text/css", headers={"cache-control": "max-age=3600"})


async def script(_request: Request) -> Response:
    return Response("console.log('pushed')", media_type="text/javascript", headers={"cache-control": "max-age=3600"})


app = Starlette(routes=[Route("/", page), Route("/style.css", style), Route("/app.js", script)])
