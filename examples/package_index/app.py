"""An index of Python packages (PEP 503, 691, 658) that pushes everything an installation needs.

    pip download --dest wheels/ fastapi
    WHEELS=wheels h3push serve examples.package_index.app:app --dev

Whoever asks for a project's page is about to ask for the pages, the metadata and the wheels of all that it needs, one after the
other. The index knows them from the wheels' own metadata, and pushes them with the first page. pip takes no pushes, but a relay
beside it does:

    h3push relay https://localhost:4433 --cacert ~/.local/state/h3push/ca.pem
    pip install --index-url http://localhost:8080/simple/ fastapi
"""

import html
import json
import os
import re
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

import h3push

from .wheels import Wheel, Wheels

JSON, HTML = "application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+html"
FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}
"""A wheel never changes under its name."""
FOR_A_MINUTE = {"cache-control": "public, max-age=60", "vary": "accept"}
"""A page changes when a wheel is added."""


def make_app(directory: Path) -> Starlette:
    """The index of a directory of wheels."""
    wheels = Wheels(directory)

    async def projects(request: Request) -> Response:
        names = sorted(wheels.by_project)
        if wants_json(request):
            return as_json({"meta": {"api-version": "1.1"}, "projects": [{"name": name} for name in names]})
        return as_html("Projects", [f'<a href="/simple/{name}/">{name}</a>' for name in names])

    async def project(request: Request) -> Response:
        name = re.sub(r"[-_.]+", "-", request.path_params["name"]).lower()
        found = wheels.by_project.get(name)
        if found is None:
            return Response(status_code=404)
        await push_closure(request, wheels, name)
        if wants_json(request):
            return as_json({"meta": {"api-version": "1.1"}, "name": name, "files": [entry(one) for one in found]})
        return as_html(name, [anchor(one) for one in found])

    async def file(request: Request) -> Response:
        name = request.path_params["file"]
        wheel = wheels.by_name.get(name.removesuffix(".metadata"))
        if wheel is None:
            return Response(status_code=404)
        if name.endswith(".metadata"):
            return Response(wheel.metadata, media_type="text/plain", headers=FOR_EVER)
        return FileResponse(wheel.path, media_type="application/octet-stream", headers=FOR_EVER)

    return Starlette(
        routes=[Route("/simple/", projects), Route("/simple/{name}/", project), Route("/files/{file}", file)]
    )


async def push_closure(request: Request, wheels: Wheels, name: str) -> None:
    """Push what an installation of a project asks for next: first what the resolver reads, then the wheels."""
    if request.scope.get("extensions", {}).get("h3push", {}).get("push_id") is not None:
        return  # this page is itself pushed: its own needs come with the first one
    closure = list(wheels.closure(name, environment_of(request)))
    pages = [f"/simple/{one.project}/" for one in closure if one.project != name]
    files = [f"/files/{one.path.name}" for one in closure]
    metadata = [f"{path}.metadata" for path in files]
    accept = [("accept", request.headers.get("accept", "*/*"))]
    if pages:
        await h3push.push(request, *pages, as_="fetch", headers=accept)
    await h3push.push(
        request, *metadata, *files, as_="fetch", headers=[("accept", "*/*"), ("accept-encoding", "identity")]
    )


def environment_of(request: Request) -> dict[str, str]:
    """The markers of whoever asks: pip says them in its User-Agent."""
    _, _, text = request.headers.get("user-agent", "").partition("{")
    try:
        said: dict[str, Any] = json.loads("{" + text)
        version = str(said["implementation"]["version"])
        return {"python_version": ".".join(version.split(".")[:2]), "python_full_version": version}
    except (ValueError, KeyError, TypeError):
        return {}


def wants_json(request: Request) -> bool:
    """True for a client that knows PEP 691."""
    return JSON in request.headers.get("accept", "")


def as_json(content: Any) -> Response:
    return Response(json.dumps(content), media_type=JSON, headers=FOR_A_MINUTE)


def as_html(title: str, links: list[str]) -> Response:
    lines = "<br>\n".join(links)
    page = f'<!doctype html><meta name="pypi:repository-version" content="1.1"><title>{title}</title>\n{lines}\n'
    return HTMLResponse(page, headers=FOR_A_MINUTE)


def entry(wheel: Wheel) -> dict[str, Any]:
    """A file in JSON (PEP 691, 658)."""
    found: dict[str, Any] = {
        "filename": wheel.path.name,
        "url": f"/files/{wheel.path.name}",
        "hashes": {"sha256": wheel.sha256},
        "core-metadata": True,
    }
    if wheel.requires_python is not None:
        found["requires-python"] = wheel.requires_python
    return found


def anchor(wheel: Wheel) -> str:
    """A file in HTML (PEP 503, 658)."""
    python = f' data-requires-python="{html.escape(wheel.requires_python)}"' if wheel.requires_python else ""
    url = f"/files/{wheel.path.name}#sha256={wheel.sha256}"
    return f'<a href="{url}"{python} data-core-metadata="true">{wheel.path.name}</a>'


app = make_app(Path(os.environ.get("WHEELS", "wheels")))
