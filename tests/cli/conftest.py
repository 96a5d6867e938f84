"""A real server on a real socket for the command line's tests, in a thread of this process."""

import asyncio
import logging
import threading
from types import SimpleNamespace

import pytest

from h3push.cli import main, serve_log
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.runtime.settings import ServerSettings
from h3push.server.certificates import development_certificates
from h3push.server.server import serve

PAGE = b"<link rel=stylesheet href=style.css><img src='a b.png'><img src=empty.png>"


@pytest.fixture(autouse=True)
def loggers():
    """Our two loggers, which are left as they were: a command sets them up for its process, which is that of all tests."""
    found = [logging.getLogger(name) for name in ("h3push", "h3push.lifecycle", "uvicorn")]
    before = [(one.handlers, one.level, one.propagate) for one in found]
    yield found[:2]
    for one, (handlers, level, propagate) in zip(found, before, strict=True):
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)
    serve_log._SET_UP.clear()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return development_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp("site")
    (root / "index.html").write_bytes(PAGE)
    (root / "style.css").write_bytes(b"p { color: red }")
    (root / "a b.png").write_bytes(b"\x89PNG\0picture")
    (root / "empty.png").write_bytes(b"")
    (root / "plain.txt").write_bytes(b"plain text\n")
    return root


async def run_until(handler, certificates, config, box, ready):
    server = serve(
        handler,
        port=0,
        certfile=certificates.certfile,
        keyfile=certificates.keyfile,
        config=config,
        settings=ServerSettings(graceful_timeout=0.5, linger_timeout=0.1, max_pushes_per_request=1_000),
    )
    async with server:
        box["address"] = server.address
        box["loop"] = asyncio.get_running_loop()
        box["stop"] = asyncio.Event()
        ready.set()
        await box["stop"].wait()


@pytest.fixture(scope="session")
def start(certificates):
    """Start a server for a handler; `.url` and `.cafile` of the result are for `h3push get`."""
    started = []

    def start(handler, own_certificates=None, config=None):
        box, ready = {}, threading.Event()
        used = own_certificates or certificates
        thread = threading.Thread(target=lambda: asyncio.run(run_until(handler, used, config, box, ready)))
        thread.start()
        assert ready.wait(20)
        started.append((thread, box))
        port = box["address"][1]
        return SimpleNamespace(url=f"https://localhost:{port}/", port=port, cafile=str(used.cafile))

    yield start
    for thread, box in started:
        box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join(20)


@pytest.fixture(scope="session")
def server(start, site):
    return start(DirectoryHandler(Directory(site)))


@pytest.fixture
def run(capfdbinary):
    """Run the command line in this process: exit code, stdout and stderr."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        output = capfdbinary.readouterr()
        return SimpleNamespace(code=exit_.value.code, out=output.out, err=output.err.decode())

    return run
