"""TLS settings: what is wrong is said in a sentence, on the spot or at the end of the handshake."""

import os

import pytest

from h3push import _quic

from .conftest import DAY, Authority
from .ends import Joined, only


def end_of_handshake(server, client, name="localhost"):
    """Both CLOSED events, or none."""
    joined = Joined(server, client)
    joined.connect(name)
    joined.run(200)
    return [next(iter(only(joined.told[side], _quic.CLOSED)), None) for side in (joined.client, joined.server)]


@pytest.mark.parametrize(
    ("identities", "sentence"),
    [
        ([], "identities is empty"),
        ([(b"", b"")], "no certificate"),
        ([(b"garbage", b"garbage")], "no certificate"),
        ([(b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", b"")], "cannot be read"),
        ([(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"")], "cannot be read"),
    ],
)
def test_identities_that_cannot_be(identities, sentence):
    with pytest.raises(ValueError, match=sentence):
        _quic.ServerTls(identities)


def test_servers_with_one_ticket_key_resume_each_others_sessions(authority, identity):
    """A client comes back to another worker of the port, and needs no certificate; another key gives a full handshake."""
    client = _quic.ClientTls(trust=authority.pem)

    def resumed(key):
        joined = Joined(_quic.ServerTls([identity.pair], ticket_key=key), client)
        ours = joined.connect("localhost")
        joined.run(200)
        return joined.client.info(ours)["resumed"]

    assert [resumed(key) for key in (bytes(32), bytes(32), b"another" * 5)] == [False, True, False]


def test_ticket_keys_that_cannot_be(identity):
    """A short key is a mistake; early data is taken once, which needs a memory that tickets do not have."""
    with pytest.raises(ValueError, match="at least 32 bytes"):
        _quic.ServerTls([identity.pair], ticket_key=bytes(31))
    with pytest.raises(ValueError, match="cannot go with a ticket key"):
        _quic.ServerTls([identity.pair], ticket_key=bytes(32), early_data=True)


def test_keys_that_do_not_fit(authority, identity):
    with pytest.raises(ValueError, match="does not belong"):
        _quic.ServerTls([(identity.chain, authority.issue("other").key)])
    with pytest.raises(ValueError, match="no private key"):
        _quic.ServerTls([(identity.chain, identity.chain)])
    encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    with pytest.raises(ValueError, match="encrypted"):
        _quic.ServerTls([(identity.chain, encrypted)])
    with pytest.raises(ValueError, match="does not belong"):
        _quic.ClientTls(trust=authority.pem, identity=(identity.chain, authority.issue("other").key))


def test_trust_and_protocols_that_cannot_be(identity):
    with pytest.raises(ValueError, match="no certificate in the trust"):
        _quic.ClientTls(trust=b"")
    with pytest.raises(ValueError, match="alpn"):
        _quic.ClientTls(trust=identity.chain, alpn=[])
    with pytest.raises(ValueError, match="alpn"):
        _quic.ServerTls([identity.pair], alpn=[b""])


def test_an_unknown_authority(identity):
    client = _quic.ClientTls(trust=Authority("somebody else").pem)
    ours, theirs = end_of_handshake(_quic.ServerTls([identity.pair]), client)
    assert ours[2] == _quic.CLOSED_TRANSPORT_ERROR
    assert 0x100 <= ours[3] < 0x200
    assert "not trusted" in ours[4]
    assert theirs[2] == _quic.CLOSED_BY_TRANSPORT


def test_another_name(identity, authority):
    client = _quic.ClientTls(trust=authority.pem)
    ours, _ = end_of_handshake(_quic.ServerTls([identity.pair]), client, "example.org")
    assert ours[4] == "the certificate is not for example.org; it is for localhost"


@pytest.mark.parametrize(
    ("valid", "sentence"),
    [
        ((-9 * DAY, -3 * DAY), "expired, 3 days ago"),
        ((-9 * DAY, -DAY), "expired, 1 day ago"),
        ((-9 * DAY, -DAY / 24), "expired, 1 day ago"),
        ((2 * DAY, 9 * DAY), "not valid before"),
        ((DAY * 1.5, 9 * DAY), "not valid before another 1 day"),
    ],
)
def test_the_wrong_time(authority, valid, sentence):
    """A certificate that is not valid now says for how long, in days, and never in none (issue 9, point 31)."""
    server = _quic.ServerTls([authority.issue("localhost", valid=valid).pair])
    ours, _ = end_of_handshake(server, _quic.ClientTls(trust=authority.pem))
    assert sentence in ours[4]


def test_no_common_protocol(identity, authority):
    client = _quic.ClientTls(trust=authority.pem, alpn=[b"hq-interop"])
    ours, theirs = end_of_handshake(_quic.ServerTls([identity.pair]), client)
    assert (ours[2], ours[3]) == (_quic.CLOSED_BY_TRANSPORT, 0x178)
    assert "ALPN" in ours[4]
    assert theirs is None, "to the server there never was a connection"


def test_whoever_asks_not_to_verify_gets_anybody(authority):
    server = _quic.ServerTls([authority.issue("else", valid=(-9 * DAY, -3 * DAY)).pair])
    assert end_of_handshake(server, _quic.ClientTls(verify=False)) == [None, None]


def test_certificates_are_picked_by_name(authority):
    names = ["localhost"], ["*.example.org", "example.org"], ["example.net"]
    identities = [authority.issue(*group) for group in names]
    server = _quic.ServerTls([identity.pair for identity in identities])
    client = _quic.ClientTls(trust=authority.pem)
    for name in ("localhost", "example.org", "www.Example.org", "example.net"):
        assert end_of_handshake(server, client, name) == [None, None]
    ours, _ = end_of_handshake(server, client, "a.b.example.org")
    assert "it is for localhost" in ours[4]


def test_certificates_can_be_renewed(authority, identity):
    joined = Joined(_quic.ServerTls([identity.pair]), _quic.ClientTls(trust=authority.pem))
    first, _ = joined.connected()
    renewed = authority.issue("localhost", valid=(-DAY, 20 * DAY))
    joined.server.set_server_tls(_quic.ServerTls([renewed.pair]))
    second, _ = joined.connected()
    chains = [joined.client.info(connection)["peer_certificates"] for connection in (first, second)]
    assert chains[0] != chains[1]


def test_the_key_log_is_appended_to(authority, identity, tmp_path):
    path = tmp_path / "keys"
    path.write_text("# before\n")
    client = _quic.ClientTls(trust=authority.pem, key_log_file=str(path))
    assert end_of_handshake(_quic.ServerTls([identity.pair]), client) == [None, None]
    first, *lines = path.read_text().splitlines()
    assert first == "# before"
    labels = {line.split(" ")[0] for line in lines}
    assert {"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"} <= labels
    assert all(len(line.split(" ")) == 3 and len(line.split(" ")[1]) == 64 for line in lines)
    with pytest.raises(FileNotFoundError):
        _quic.ClientTls(verify=False, key_log_file=str(tmp_path / "no" / "where"))


def test_the_key_log_is_for_its_owner_alone(authority, tmp_path):
    """Who reads it reads the connections (issue 9, point 10)."""
    path = tmp_path / "keys"
    _quic.ClientTls(trust=authority.pem, key_log_file=path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_log_that_cannot_be_written_is_named(authority, identity, tmp_path):
    """The error has the path, as those of `open` do (issue 9, point 10)."""
    path = tmp_path / "nowhere" / "keys"
    for make in (
        lambda: _quic.ClientTls(trust=authority.pem, key_log_file=str(path)),
        lambda: _quic.ServerTls([identity.pair], key_log_file=os.fsencode(path)),
    ):
        with pytest.raises(FileNotFoundError) as raised:
            make()
        assert os.fsdecode(raised.value.filename) == str(path)
