"""Certificates for the strangers: those that `h3push serve --dev` makes, so that they are judged too."""

import pytest

from h3push.server.certificates import DevelopmentCertificates, development_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentCertificates:
    return development_certificates(tmp_path_factory.mktemp("certificates"), ["localhost"])
