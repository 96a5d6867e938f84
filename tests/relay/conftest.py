"""Certificates for the relays of these tests."""

import pytest

from h3push.server.certificates import DevelopmentCertificates, development_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentCertificates:
    return development_certificates(tmp_path_factory.mktemp("certificates"))
