"""For which authorities a server may speak, judged by its certificate (RFC 9114 section 3.3, RFC 9110 section 4.3.4).

The connection was made to one host, and its certificate was checked for that one. A promise for another host is used only when
the same certificate names that host too (RFC 9114 section 4.6).
"""

from ipaddress import ip_address

from cryptography import x509


def certificate_names(der: bytes) -> tuple[frozenset[str], frozenset[str]]:
    """The host names and IP addresses that a certificate is good for (subjectAltName only, RFC 9110 section 4.3.4)."""
    try:
        names = (
            x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )
    except (ValueError, x509.ExtensionNotFound):
        return frozenset(), frozenset()
    hosts = frozenset(name.lower() for name in names.get_values_for_type(x509.DNSName))
    addresses = frozenset(str(address) for address in names.get_values_for_type(x509.IPAddress))
    return hosts, addresses


def covers(der: bytes, host: str) -> bool:
    """True when a certificate names `host`; a wildcard stands for exactly one label."""
    hosts, addresses = certificate_names(der)
    try:
        return str(ip_address(host.strip("[]"))) in addresses
    except ValueError:
        host = host.lower()
        _, _, parent = host.partition(".")
        return host in hosts or f"*.{parent}" in hosts


def split_authority(authority: bytes) -> tuple[str, int]:
    """Host and port of an authority; 443 where it names none. `ValueError` for a port that is no number."""
    text = authority.decode("latin-1")
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text, 443
    return host, int(port)
