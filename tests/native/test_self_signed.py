"""A certificate that is named as trusted is trusted for itself too, as curl does it (issue 9, point 40)."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import h3push
from h3push.testing import World, in_world


def self_signed(*names: str, is_authority: bool, days: int = 30) -> tuple[bytes, bytes]:
    """Certificate and key, PEM; with `is_authority` as `openssl req -x509` makes them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "self-signed")])
    end = datetime.now(UTC) + timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=60))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), pem


def reach(served: tuple[bytes, bytes], trusted: bytes) -> str:
    """The content of an answer, or the sentence of the failure."""

    async def scenario(world: World) -> str:
        try:
            async with world.connect() as client, await client.get("/") as response:
                return (await response.read()).decode()
        except h3push.ConnectFailed as failure:
            return str(failure)

    return in_world(
        lambda _: h3push.Response(content=b"reached"),
        scenario,
        connected=False,
        server_tls=h3push.ServerTls([served]),
        client_tls=h3push.ClientTls(trust=trusted),
    )


@pytest.mark.parametrize("is_authority", [False, True])
def test_a_self_signed_certificate_is_trusted_where_it_is_named(is_authority: bool) -> None:
    served = self_signed("origin.example", is_authority=is_authority)
    assert reach(served, served[0]) == "reached"
    other = self_signed("other.example", is_authority=True)
    assert reach(served, other[0] + served[0]) == "reached"


@pytest.mark.parametrize("is_authority", [False, True])
def test_its_name_its_dates_and_its_bytes_still_count(is_authority: bool) -> None:
    """Another name, an end in the past, or another certificate of the same name is refused as ever."""
    elsewhere = self_signed("other.example", is_authority=is_authority)
    assert "is not for origin.example" in reach(elsewhere, elsewhere[0])
    old = self_signed("origin.example", is_authority=is_authority, days=-5)
    assert "has expired" in reach(old, old[0])
    served = self_signed("origin.example", is_authority=is_authority)
    again = self_signed("origin.example", is_authority=is_authority)
    assert "certificate of origin.example" in reach(served, again[0])
