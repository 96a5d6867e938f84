"""Certificates for the strangers: those that `h3push serve --dev` makes, so that they are judged too."""

import logging
from collections.abc import Iterator

import pytest

from h3push.server.certificates import DevelopmentCertificates, development_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentCertificates:
    return development_certificates(tmp_path_factory.mktemp("certificates"), ["localhost"])


@pytest.fixture(autouse=True)
def _nothing_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What a stranger does is no reason for us to log an error, and no handler here fails."""
    yield
    errors = [
        one for one in caplog.get_records("call") if one.levelno >= logging.ERROR and one.name.startswith("h3push")
    ]
    assert not errors, [one.getMessage() for one in errors]
