"""FastAPI with the two middlewares that swallow or refuse ASGI's push event; `h3push.push` goes around them.

h3push serve --dev examples.fastapi_app:app
"""

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.middleware.gzip import GZipMiddleware

import h3push

PAGE = '<!doctype html><title>FastAPI</title><link rel=stylesheet href="/style.css?v=1"><script src="/app.js"></script>'

app = FastAPI()
app.add_middleware(GZipMiddleware, minimum_size=100)


@app.middleware("http")
async def say_who_served(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers["x-served-by"] = "fastapi"
    return response


@app.get("/")
async def page(request: Request) -> HTMLResponse:
    await h3push.push(request, "/style.css?v=1", "/app.js")
    await asyncio.sleep(0.3)
    return HTMLResponse(PAGE)


@app.get("/style.css")
def style() -> Response:
    return Response("body { color: teal }", media_type="text/css", headers={"cache-control": "max-age=3600"})


@app.get("/app.js")
def script() -> Response:
    return Response("console.log('pushed')", media_type="text/javascript", headers={"cache-control": "max-age=3600"})
