"""Quart: its own `make_push_promise` for clients that take pushes, `h3push.push` for all of them.

h3push serve --dev examples.quart_app:app
"""

import asyncio

from quart import Quart, Response, make_push_promise, request

import h3push

PAGE = '<!doctype html><title>Quart</title><link rel=stylesheet href="/style.css?v=1"><script src="/app.js"></script>'

app = Quart(__name__)


@app.get("/")
async def page() -> str:
    await h3push.push(request, "/style.css?v=1")
    await make_push_promise("/app.js")
    await asyncio.sleep(0.3)
    return PAGE


@app.get("/style.css")
async def style() -> Response:
    return Response("body { color: teal }", mimetype="text/css", headers={"cache-control": "max-age=3600"})


@app.get("/app.js")
async def script() -> Response:
    return Response("console.log('pushed')", mimetype="text/javascript", headers={"cache-control": "max-age=3600"})
