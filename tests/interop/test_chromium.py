"""Headless Chromium loads the bundled site from our server, over HTTP/3 and nothing else."""

import importlib.resources
from pathlib import Path

import pytest

from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.server.certificates import DevelopmentCertificates
from h3push.server.server import ServerCounters

from .chromium import NetLog, browse, chromium_command
from .harness import our_server, run

SITE = Path(str(importlib.resources.files("h3push") / "site"))


class Run:
    """One load of the site, which the tests below look at from several sides."""

    def __init__(self, certificates: DevelopmentCertificates, directory: Path) -> None:
        self.handler = DirectoryHandler(Directory(SITE))
        self.counters = ServerCounters()
        self.log = run(lambda: self._load(certificates, directory), seconds=90)

    async def _load(self, certificates: DevelopmentCertificates, directory: Path) -> NetLog:
        async with our_server(certificates, self.handler) as server:
            self.counters = server.counters
            return await browse(f"https://localhost:{server.address[1]}/", certificates.certfile, directory)


@pytest.fixture(scope="module")
def loaded(certificates: DevelopmentCertificates, tmp_path_factory: pytest.TempPathFactory) -> Run:
    chromium_command()
    return Run(certificates, tmp_path_factory.mktemp("chromium"))


def files_of_the_site() -> set[str]:
    return {f"/{path.relative_to(SITE)}" for path in SITE.rglob("*") if path.is_file()} - {
        "/LICENSE.txt",
        "/index.html",
    }


@pytest.mark.timeout(150)
def test_every_resource_comes_over_http3_with_200(loaded: Run) -> None:
    """All that the page needs was asked for on HTTP/3 streams, answered 200, and every byte of it arrived."""
    exchanges = {one.path: one for one in loaded.log.exchanges}
    assert set(exchanges) == files_of_the_site() | {"/"}
    assert {one.status for one in exchanges.values()} == {200}
    for path, exchange in exchanges.items():
        assert exchange.body_bytes == (SITE / (path[1:] or "index.html")).stat().st_size, path


def test_nothing_goes_around_http3(loaded: Run) -> None:
    """No request to our host that is not among those on HTTP/3 streams."""
    assert loaded.log.requested("localhost") == {one.path for one in loaded.log.exchanges}


def test_the_page_is_whole(loaded: Run) -> None:
    """Its script ran: `scripts/theme.js` sets `data-theme`."""
    assert "data-theme=" in loaded.log.dom
    assert "</html>" in loaded.log.dom


def test_one_connection_carries_it(loaded: Run) -> None:
    assert loaded.counters.connections == 1
    assert loaded.counters.handshakes_failed == 0
    assert {one["version"] for one in loaded.log.of("QUIC_SESSION_VERSION_NEGOTIATED")} == {"RFCv1"}


def test_chromium_takes_no_pushes(loaded: Run) -> None:
    """It sends no MAX_PUSH_ID, so our server promises nothing, and counts nothing as refused: it did not even plan."""
    assert loaded.log.of("HTTP3_MAX_PUSH_ID_SENT") == []
    assert loaded.counters.pushes == 0
    assert loaded.handler.totals.promised == 0


def test_chromium_has_no_complaint(loaded: Run) -> None:
    """It ends the connection itself, when it ends: nothing that we sent was an error, not even what it does not know."""
    assert [one["from_peer"] for one in loaded.log.of("QUIC_SESSION_CLOSED")] in ([False], [False, False])
    assert {one["quic_error"] for one in loaded.log.of("QUIC_SESSION_CLOSED")} == {70}, "QUIC_CONNECTION_CANCELLED"
    (settings,) = loaded.log.of("HTTP3_SETTINGS_RECEIVED")
    assert settings["SETTINGS_QPACK_MAX_TABLE_CAPACITY"] == 4096


def test_its_priorities_are_understood(loaded: Run) -> None:
    """It sends PRIORITY_UPDATE for every request (RFC 9218), and the server takes it without an error."""
    updates = loaded.log.of("HTTP3_PRIORITY_UPDATE_SENT")
    assert len(updates) >= len(loaded.log.exchanges) - 1
    assert {one["prioritized_element_id"] for one in updates} <= {one.stream_id for one in loaded.log.exchanges}
