"""Headless Chromium, led by its own protocol (CDP): open pages, measure them, hear what they complain of, take pictures.

async with Chromium(directory) as browser:
    page = await browser.open()
    await page.load("http://localhost:8080/")
    timing = await page.timing()
"""

import asyncio
import base64
import hashlib
import json
import shutil
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from websockets.asyncio.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""Names under which distributions install it."""
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--mute-audio",
    "--remote-debugging-port=0",
)
STARTS = 30.0
"""Seconds in which it has to start."""

TIMING = """(() => {
    const one = performance.getEntriesByType("navigation")[0];
    const painted = performance.getEntriesByName("first-contentful-paint")[0];
    return [one.requestStart, one.responseStart, one.domContentLoadedEventEnd, painted ? painted.startTime : -1, one.loadEventEnd,
        performance.getEntriesByType("resource").length, one.nextHopProtocol];
})()"""


def command() -> str | None:
    """Where Chromium is; `None` when it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass(frozen=True, slots=True)
class Timing:
    """One page load, in milliseconds from its start."""

    requested: float
    """When the request of the document went out: before it the browser looks for the server and connects."""
    first_byte: float
    dom_ready: float
    painted: float
    """First contentful paint; -1 when nothing was painted."""
    loaded: float
    resources: int
    protocol: str
    """Of the document, as ALPN names it."""


class Page:
    """One tab."""

    def __init__(self, browser: "Chromium", session: str) -> None:
        self.complaints: list[str] = []
        """Errors and warnings of the console, and requests that failed."""
        self._browser = browser
        self._session = session
        self._loaded = asyncio.Event()

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of CDP."""
        return await self._browser.call(method, parameters, self._session)

    async def load(self, url: str, seconds: float = 60) -> None:
        """Load a page, to its load event."""
        self._loaded.clear()
        told = await self.call("Page.navigate", url=url)
        if "errorText" in told:
            raise RuntimeError(f"{url}: {told['errorText']}")
        async with asyncio.timeout(seconds):
            await self._loaded.wait()

    async def evaluate(self, script: str) -> Any:
        """The value of an expression."""
        told = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise RuntimeError(str(told["exceptionDetails"]))
        return told["result"].get("value")

    async def timing(self) -> Timing:
        """The load that is over."""
        await self.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 100)))")
        return Timing(*await self.evaluate(TIMING))

    async def resize(self, width: int, height: int) -> None:
        """Make the tab a phone."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True
        )  # fmt: skip

    async def picture(self, path: Path) -> None:
        """Take a picture (PNG)."""
        told = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(told["data"]))

    async def close(self) -> None:
        """Close it."""
        await self.call("Page.close")

    def hear(self, event: dict[str, Any]) -> None:
        """An event of this tab."""
        method, parameters = event["method"], event["params"]
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(str(parameters["entry"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in {"error", "warning", "assert"}:
            self.complaints.append(str(parameters["args"]))


class Chromium:
    """One browser with a profile of its own; `async with` starts and ends it.

    Args:
        directory: for the profile; an empty one is a browser that has cached nothing.
        flags: further ones of the command line.
    """

    def __init__(self, directory: Path, *flags: str) -> None:
        self._directory = directory
        self._flags = flags
        self._pages: dict[str, Page] = {}
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._process: asyncio.subprocess.Process
        self._connection: ClientConnection
        self._reading: asyncio.Task[None]

    async def __aenter__(self) -> "Chromium":
        found = command()
        if found is None:
            raise RuntimeError("no Chromium found")
        quiet = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            found, *FLAGS, f"--user-data-dir={self._directory}", *self._flags, "about:blank", stdout=quiet, stderr=quiet
        )  # fmt: skip
        try:
            async with asyncio.timeout(STARTS):
                self._connection = await connect(await self._address(), max_size=None)
        except BaseException:
            await self._end()
            raise
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await self._connection.close()
        await self._end()

    async def _end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def _address(self) -> str:
        """Where it listens: it writes that into its profile."""
        told = self._directory / "DevToolsActivePort"
        while len(found := await asyncio.to_thread(_words, told)) < 2:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)
        return f"ws://127.0.0.1:{found[0]}{found[1]}"

    async def open(self, *, apart: bool = False) -> Page:
        """Open a tab; `apart`: with connections and a cache of its own, as another visitor's."""
        wanted = {"url": "about:blank"}
        if apart:
            wanted |= await self.call("Target.createBrowserContext", {"disposeOnDetach": True})
        target = (await self.call("Target.createTarget", wanted))["targetId"]
        attached = await self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        page = self._pages[attached["sessionId"]] = Page(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.call(f"{domain}.enable")
        return page

    async def call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        """Call a method; `RuntimeError` when the browser refuses."""
        number = next(self._numbers)
        said = {"id": number, "method": method, "params": parameters}
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._connection.send(json.dumps(said if session is None else {**said, "sessionId": session}))
        async with asyncio.timeout(60):
            told = await answer
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']['message']}")
        result: dict[str, Any] = told["result"]
        return result

    async def _read(self) -> None:
        async for text in self._connection:
            told = json.loads(text)
            answer = self._answers.pop(told.get("id", 0), None)
            if answer is not None and not answer.done():
                answer.set_result(told)
            elif told.get("sessionId") in self._pages:
                self._pages[told["sessionId"]].hear(told)


def key_hash(certfile: Path) -> str:
    """The hash by which Chromium takes a certificate that no authority signed: SHA-256 of its public key, in base64."""
    key = x509.load_pem_x509_certificates(certfile.read_bytes())[0].public_key()
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()


def _words(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []
