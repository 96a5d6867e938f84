"""A server's certificate as a client is shown it: its life, its key, its names and its chain."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from h3push.doctor.finding import Finding, advice, good, wrong
from h3push.server.certificates import key_hash_of

RENEW_WITHIN = timedelta(days=14)
"""A certificate that ends within this time should have been renewed: Let's Encrypt renews a month before."""
LEAST_RSA = 2048
"""Bits of an RSA key, at least (CA/Browser Forum's Baseline Requirements)."""
CURVES = ("secp256r1", "secp384r1")
"""Curves of keys that every browser takes."""
TOPIC = "certificate"


def examine_certificate(certificate: bytes, host: str, now: datetime) -> list[Finding]:
    """Look at the certificate itself: whether it is alive, has a key that clients take, and is for a host.

    Args:
        certificate: what the server sent first, DER.
        host: the name or address that it should be for.
        now: the time.
    """
    leaf = x509.load_der_x509_certificate(certificate)
    return [_life(leaf, now), _key(leaf), _names(leaf, host)]


def examine_chain(chain: Sequence[bytes], refusal: str | None) -> Finding:
    """Look at what leads from the certificate to an authority.

    Args:
        chain: what the server sent, DER, its own certificate first.
        refusal: why a client refuses it, when nothing is wrong with the certificate itself; `None`: it is taken.
    """
    certificates = [x509.load_der_x509_certificate(one) for one in chain]
    leaf, last = certificates[0], certificates[-1]
    if refusal is None:
        return good(TOPIC, f"its chain leads to an authority that is known here ({_name(last.issuer)})")
    if leaf.issuer == leaf.subject:
        return wrong(TOPIC, "it is signed by itself, so no client knows it", _pin(leaf))
    if len(certificates) == 1:
        message = f"it comes without the certificate of {_name(leaf.issuer)}, which clients need to check it"
        return wrong(TOPIC, message, "serve the whole chain, as in --certfile fullchain.pem")
    message = f"its authority, {_name(last.issuer)}, is known to nobody who was not told of it"
    return wrong(TOPIC, message, f"h3push doctor --cacert CA.pem URL; a browser needs {_pin(leaf)}")


def _life(leaf: x509.Certificate, now: datetime) -> Finding:
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now >= ends:
        return wrong(TOPIC, f"it expired on {ends:%Y-%m-%d %H:%M} UTC", "certbot renew, then kill -HUP the server")
    if now < begins:
        return wrong(
            TOPIC, f"it is valid from {begins:%Y-%m-%d %H:%M} UTC on", "timedatectl, to see whether a clock is wrong"
        )
    if ends - now < min(RENEW_WITHIN, (ends - begins) / 3):
        return advice(TOPIC, f"it expires on {ends:%Y-%m-%d %H:%M} UTC", "certbot renew, then kill -HUP the server")
    return good(TOPIC, f"it is valid until {ends:%Y-%m-%d}")


def _key(leaf: x509.Certificate) -> Finding:
    key = leaf.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size >= LEAST_RSA:
            return good(TOPIC, f"its key is RSA with {key.key_size} bits")
        return wrong(TOPIC, f"its key is RSA with {key.key_size} bits, which clients refuse", _NEW_KEY)
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name in CURVES:
            return good(TOPIC, f"its key is on {key.curve.name}")
        return wrong(TOPIC, f"its key is on {key.curve.name}, which not every browser takes", _NEW_KEY)
    return wrong(
        TOPIC, f"its key is {type(key).__name__.removesuffix('PublicKey')}, which browsers do not take", _NEW_KEY
    )


_NEW_KEY = "openssl ecparam -name prime256v1 -genkey -noout -out key.pem, and have a certificate made for that key"


def _names(leaf: x509.Certificate, host: str) -> Finding:
    try:
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return wrong(
            TOPIC, "it has no subjectAltName, and no client looks at anything else", f"certbot certonly -d {host}"
        )
    names = [*held.get_values_for_type(x509.DNSName), *map(str, held.get_values_for_type(x509.IPAddress))]
    wildcard = "*." + host.partition(".")[2]
    if host in names or wildcard in names:
        return good(TOPIC, f"it is for {host}")
    return wrong(TOPIC, f"it is for {', '.join(names) or 'nobody'}, not for {host}", f"certbot certonly -d {host}")


def _pin(leaf: x509.Certificate) -> str:
    return f"chromium --ignore-certificate-errors-spki-list={key_hash_of(leaf)} --origin-to-force-quic-on=HOST:PORT"


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()
