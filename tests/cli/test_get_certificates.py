"""Certificates that `h3push get` does not accept: which check they did not pass, and what to do."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from h3push.server.response import Response

DAY = timedelta(days=1)


def certify(subject, names, begin, end, issuer=None):
    """A certificate and its key; `issuer` is another such pair, or it signs itself as an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    issuer_name, issuer_key = (name, key) if issuer is None else (issuer[0].subject, issuer[1])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begin)
        .not_valid_after(now + end)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256()), key


@pytest.fixture(scope="module")
def authority():
    return certify("our authority", [], -DAY, 10 * DAY)


@pytest.fixture(scope="module")
def serve_certificate(start, authority, tmp_path_factory):
    """Serve with a certificate of these names and dates; the server, with the authority in `.cafile`."""
    directory = tmp_path_factory.mktemp("pem")
    cafile = directory / "authority.pem"
    cafile.write_bytes(authority[0].public_bytes(Encoding.PEM))

    async def handler(request):
        return Response(200, {}, "fine")

    def serve(name, names, begin, end, issuer=authority):
        certificate, key = certify("server", names, begin, end, issuer)
        certfile, keyfile = directory / f"{name}.pem", directory / f"{name}.key"
        certfile.write_bytes(certificate.public_bytes(Encoding.PEM))
        keyfile.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return start(handler, SimpleNamespace(certfile=certfile, keyfile=keyfile, cafile=cafile))

    return serve


ADVICE = "--cacert"


@pytest.mark.parametrize(
    ("name", "names", "begin", "end", "words"),
    [
        ("other", ["example.org"], -DAY, DAY, ["not for localhost", "example.org"]),
        ("expired", ["localhost"], -3 * DAY, -2 * DAY, ["localhost", "has expired"]),
        ("early", ["localhost"], 2 * DAY, 3 * DAY, ["localhost", "not valid", "clock"]),
    ],
)
def test_a_certificate_error_says_which(run, serve_certificate, name, names, begin, end, words):
    """A wrong name, an expired certificate and one that is not valid yet are told apart: code 60 (issue 9, points 31, 40).

    --cacert is not advised, as it would not help.
    """
    server = serve_certificate(name, names, begin, end)
    result = run("get", "--cacert", server.cafile, server.url)
    assert (result.code, result.out) == (60, b"")
    assert result.err.count("\n") == 1
    for word in words:
        assert word in result.err
    for word in (ADVICE, "verify=False", "Other(", "Context"):
        assert word not in result.err
    assert run("get", "-k", server.url).out == b"fine"


def test_an_unknown_issuer_says_how_to_trust_it(run, serve_certificate, certificates):
    """Only where the issuer is not known does --cacert help, and only there is it advised."""
    server = serve_certificate("good", ["localhost"], -DAY, DAY)
    assert run("get", "--cacert", server.cafile, server.url).out == b"fine"
    for trust in ([], ["--cacert", certificates.cafile]):
        result = run("get", *trust, server.url)
        assert result.code == 60
        assert "not trusted" in result.err
        assert ADVICE in result.err
        assert "verify=False" not in result.err
        assert result.err.count("\n") == 1


def test_an_error_without_a_sentence_is_words_all_the_same(run, serve_certificate):
    """Nobody reads Rust: an authority that serves with its own certificate is told in words (issue 9, point 31)."""
    server = serve_certificate("itself", ["localhost"], -DAY, DAY, issuer=None)
    result = run("get", "--cacert", server.cafile, server.url)
    assert result.code == 60
    assert "(" not in result.err
    assert "Entity" not in result.err
