"""TLS settings, and the clients that refuse them."""

from h3push.server.tls import REFUSAL_INTERVAL, CertificateRefusals

ADDRESS = ("192.0.2.1", 5000)


def test_a_reason_is_told_once_in_a_while(caplog):
    """Anybody may refuse a certificate as often as he likes, and must not fill a disk (issue 9, point 40)."""
    refusals = CertificateRefusals()
    for second in range(100):
        refusals.handshake_failed(ADDRESS, 0x100 + 48, float(second))
        refusals.handshake_failed(ADDRESS, 0x100 + 45, float(second))
    assert len(caplog.records) == 2 * (1 + int(100 // REFUSAL_INTERVAL))


def test_other_failures_of_a_handshake_are_not_about_the_certificate(caplog):
    """A client without a protocol in common, one that went away, a time-out."""
    for code in (0x100 + 120, 0x0, 0x2A, None):
        CertificateRefusals().handshake_failed(ADDRESS, code, 0.0)
    assert caplog.records == []
