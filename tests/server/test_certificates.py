"""Development certificates: made once, used again, renewed in time, never half."""

import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from h3push.server.certificates import (
    AuthorityError,
    development_certificates,
    expiry_notice,
    state_directory,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def read(path):
    return x509.load_pem_x509_certificates(path.read_bytes())


def names(path):
    held = read(path)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name) for kind in (x509.DNSName, x509.IPAddress) for name in held.get_values_for_type(kind)}


def test_a_first_call_makes_a_ca_and_a_server_certificate(tmp_path):
    made = development_certificates(tmp_path / "new", now=NOW)
    (authority,) = read(made.cafile)
    server, issuer = read(made.certfile)
    server.verify_directly_issued_by(authority)
    assert issuer == authority
    assert names(made.certfile) == {"localhost", "127.0.0.1", "::1"}
    assert server.not_valid_after_utc - NOW == timedelta(days=30)
    assert authority.not_valid_after_utc - NOW == timedelta(days=3650)


def test_keys_are_for_their_owner_only_and_nothing_else_is_left(tmp_path):
    made = development_certificates(tmp_path / "new", now=NOW)
    for key in (made.keyfile, made.cafile.with_name("ca.key")):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert {path.name for path in made.cafile.parent.iterdir()} == {
        "ca.pem",
        "ca.key",
        "server.pem",
        "server.key",
        ".lock",
    }


def test_a_second_call_changes_nothing(tmp_path):
    made = development_certificates(tmp_path, now=NOW)
    before = made.certfile.read_bytes(), made.cafile.read_bytes()
    development_certificates(tmp_path, now=NOW + timedelta(days=20))
    assert (made.certfile.read_bytes(), made.cafile.read_bytes()) == before


def test_a_server_certificate_is_renewed_before_it_expires_under_the_same_ca(tmp_path):
    made = development_certificates(tmp_path, now=NOW)
    authority, server = made.cafile.read_bytes(), made.certfile.read_bytes()
    development_certificates(tmp_path, now=NOW + timedelta(days=24))
    assert made.cafile.read_bytes() == authority
    assert made.certfile.read_bytes() != server


@pytest.mark.parametrize(
    ("asked", "held"), [("dev.test", "dev.test"), ("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1")]
)
def test_a_further_host_gets_a_certificate_for_it_too(tmp_path, asked, held):
    development_certificates(tmp_path, now=NOW)
    made = development_certificates(tmp_path, [asked], now=NOW)
    assert names(made.certfile) == {"localhost", "127.0.0.1", "::1", held}


def test_addresses_that_mean_every_address_are_no_names(tmp_path):
    made = development_certificates(tmp_path, ["0.0.0.0", "::", ""], now=NOW)
    assert names(made.certfile) == {"localhost", "127.0.0.1", "::1"}


JUNK = [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]


@pytest.mark.parametrize("content", JUNK)
@pytest.mark.parametrize("broken", ["ca.pem", "ca.key"])
def test_a_broken_ca_is_never_replaced_in_silence(tmp_path, broken, content):
    """It may be somebody's: the sentence says what to remove, and nothing is touched (issue 9, point 40)."""
    development_certificates(tmp_path, now=NOW)
    (tmp_path / broken).write_bytes(content)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(AuthorityError, match=rf"{tmp_path}/ca\.pem and .*ca\.key .*remove both"):
        development_certificates(tmp_path, now=NOW)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(("gone", "left"), [("ca.pem", "ca.key"), ("ca.key", "ca.pem")])
def test_a_new_ca_in_the_place_of_half_a_one_is_told(tmp_path, gone, left, caplog):
    """Whoever trusted the old one has to know (issue 9, point 40)."""
    development_certificates(tmp_path, now=NOW)
    (tmp_path / gone).unlink()
    development_certificates(tmp_path, now=NOW)
    assert f"{tmp_path}/{left} is alone: a new authority is made" in caplog.text


@pytest.mark.parametrize(
    ("moment", "notice"),
    [
        (timedelta(days=-2), "is valid from 2026-11-21 23:00 UTC on: until then, clients refuse it"),
        (timedelta(days=0), None),
        (timedelta(days=26), None),  # a tenth of 30 days is left after 27
        (timedelta(days=28), "expires on 2026-12-22 00:00 UTC"),
        (timedelta(days=31), "expired on 2026-12-22 00:00 UTC: clients refuse it"),
    ],
)
def test_a_certificate_that_ends_is_worth_a_line(tmp_path, moment, notice):
    """Expired, about to be, or not valid yet (issue 9, point 40)."""
    made = development_certificates(tmp_path, now=NOW)
    line = expiry_notice(made.certfile, now=NOW + moment)
    assert line == (None if notice is None else f"the certificate {made.certfile} {notice}")


@pytest.mark.parametrize(
    ("broken", "content"),
    [
        *[(name, None) for name in ("ca.pem", "ca.key", "server.pem", "server.key")],
        *[(name, junk) for name in ("server.pem", "server.key") for junk in JUNK],
    ],
)
def test_what_is_broken_or_gone_is_made_anew(tmp_path, broken, content):
    made = development_certificates(tmp_path, now=NOW)
    (tmp_path / broken).unlink()
    if content is not None:
        (tmp_path / broken).write_bytes(content)
    development_certificates(tmp_path, now=NOW)
    read(made.certfile)[0].verify_directly_issued_by(read(made.cafile)[0])


def test_a_directory_that_cannot_be_made_is_an_oserror(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        development_certificates(tmp_path / "file" / "below")


def test_state_lives_where_the_platform_says(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert state_directory() == tmp_path / ".local" / "state" / "h3push"
    monkeypatch.setenv("XDG_STATE_HOME", "/var/tmp/state")
    assert str(state_directory()) == "/var/tmp/state/h3push"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_directory() == tmp_path / ".local" / "state" / "h3push"
