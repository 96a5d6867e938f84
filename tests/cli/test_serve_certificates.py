"""Several certificates, encrypted keys and certificates of clients, over QUIC and over TCP alike."""

import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import closing
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import serialization

from h3push.cli.failures import CommandFailed
from h3push.cli.serving.certificates import Certificates, _ask_password
from h3push.server.identities import Identities, Identity, read_identities
from h3push.server.tls import TrustedClients, make_tls
from h3push.testing.identity import make_identity

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]
APP = """
import json

async def app(scope, receive, send):
    if scope["type"] == "http":
        body = json.dumps(scope["extensions"]["tls"]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""
PASSWORD = b"open sesame"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two servers' certificates, one with an encrypted key; a client's; and the application that tells what it sees."""
    root = tmp_path_factory.mktemp("certificates")
    servers, clients = 1, 2
    found = SimpleNamespace(root=root, ca=root / "ca.pem", client_ca=root / "client-ca.pem")
    found.ca.write_bytes(make_identity(["x"], seed=servers).authority)
    found.client_ca.write_bytes(make_identity(["x"], seed=clients).authority)
    for name, authority in (("localhost", servers), ("b.test", servers), ("client", clients), ("stranger", servers)):
        issued = make_identity([name], seed=authority)
        (root / f"{name}.pem").write_bytes(issued.certificate)
        (root / f"{name}.key").write_bytes(issued.key)
    key = serialization.load_pem_private_key((root / "b.test.key").read_bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSWORD),
    )
    (root / "b.test.key").write_bytes(encrypted)
    (root / "password").write_bytes(PASSWORD + b"\n")
    (root / "telling.py").write_text(APP)
    return found


@pytest.fixture
def serving(files):
    processes = []

    def serving(*arguments):
        pairs = [
            word
            for name in ("localhost", "b.test")
            for word in ("--certfile", f"{files.root}/{name}.pem", "--ssl-keyfile", f"{files.root}/{name}.key")
        ]
        password = ("--keyfile-password-file", files.root / "password")
        words = ["telling:app", "--app-dir", files.root, "--port", "0", "-q", *pairs, *password, *arguments]
        process = subprocess.Popen(
            [*COMMAND, "serve", *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        processes.append(process)
        line = process.stderr.readline().decode()
        found = re.search(r"https://\S+:(\d+)/", line)
        assert found, line + process.stderr.read().decode()
        return int(found[1])

    yield serving
    for process in processes:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


@pytest.fixture
def ask(files, run):
    """Ask a server over QUIC or TCP by a name, with a certificate or without; the `tls` extension that its application saw."""

    def over_quic(port, name, client):
        shown = (
            () if client is None else ("--cert", files.root / f"{client}.pem", "--key", files.root / f"{client}.key")
        )
        where = ("--resolve", f"{name}:{port}:127.0.0.1", "--cacert", files.ca)
        result = run("get", *where, *shown, f"https://{name}:{port}/")
        if result.code:
            raise ConnectionError(result.err)
        return json.loads(result.out)

    def over_tcp(port, name, client):
        context = ssl.create_default_context(cafile=files.ca)
        if client is not None:
            context.load_cert_chain(files.root / f"{client}.pem", files.root / f"{client}.key")
        plain = socket.create_connection(("127.0.0.1", port), 10)
        with closing(http.client.HTTPSConnection(name, port)) as connection:
            connection.sock = context.wrap_socket(plain, server_hostname=name)
            connection.request("GET", "/")
            return json.loads(connection.getresponse().read())

    def ask(way, port, name="localhost", client=None):
        return {"quic": over_quic, "tcp": over_tcp}[way](port, name, client)

    return ask


def certificate(files, name):
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert((files.root / f"{name}.pem").read_text()))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_client_is_shown_the_certificate_of_the_name_that_it_asks_for(serving, ask, files, workers):
    """With each its own key, one of them encrypted; the application is told which one it was."""
    port = serving("--workers", workers)
    for way in ("quic", "tcp"):
        for name in ("b.test", "localhost"):
            seen = ask(way, port, name)
            assert seen["server_cert"] == certificate(files, name), way
            assert (seen["client_cert_chain"], seen["client_cert_name"]) == ([], None)
            assert seen["tls_version"] == 0x0304
            assert seen["cipher_suite"] in {0x1301, 0x1302, 0x1303}


@pytest.mark.parametrize("way", ["quic", "tcp"])
def test_clients_show_a_certificate(serving, ask, files, way):
    """Those without one, and those of another authority, are refused; the application is told who came."""
    port = serving("--client-ca", files.client_ca)
    seen = ask(way, port, client="client")
    assert seen["client_cert_chain"] == [certificate(files, "client")]
    assert seen["client_cert_name"] == "CN=h3push rig"
    for client in (None, "stranger"):
        with pytest.raises(OSError):
            ask(way, port, client=client)


@pytest.mark.parametrize("way", ["quic", "tcp"])
def test_clients_may_show_none_where_that_is_optional(serving, ask, files, way):
    """Uvicorn's number for it means the same; a certificate of another authority is refused all the same."""
    port = serving("--ssl-ca-certs", files.client_ca, "--ssl-cert-reqs", "1")
    assert ask(way, port)["client_cert_chain"] == []
    assert ask(way, port, client="client")["client_cert_name"] == "CN=h3push rig"
    with pytest.raises(OSError):
        ask(way, port, client="stranger")


def identity(*names):
    return Identity("c", "k", b"", b"", names)


def test_the_name_itself_counts_before_a_wildcard_and_that_before_the_first():
    """As in the native module, so that both transports show the same."""
    first, star, exact = identity("a.test"), identity("*.b.test"), identity("x.b.test")
    found = Identities([first, star, exact])
    assert found.find("x.b.test") is exact
    assert found.find("Y.b.test.") is star
    assert found.find("deep.y.b.test") is first
    assert found.find(None) is first


def test_an_encrypted_key_needs_its_password(files, monkeypatch):
    """From the flag, its file or the terminal; without any, one sentence."""
    pair = (files.root / "b.test.pem", files.root / "b.test.key")
    opened = read_identities([pair], lambda: PASSWORD)[0]
    assert b"ENCRYPTED" not in opened.key
    assert opened.password == PASSWORD
    with pytest.raises(ValueError, match=r"b\.test\.key does not open with this password"):
        read_identities([pair], lambda: b"wrong")
    with pytest.raises(ValueError, match=r"b\.test\.key is encrypted"):
        read_identities([pair])
    assert Certificates(keyfile_password="abc").password() == b"abc"
    assert Certificates(keyfile_password_file=files.root / "password").password() == PASSWORD
    with pytest.raises(CommandFailed, match="cannot read the password"):
        Certificates(keyfile_password_file=files.root / "absent").password()
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(CommandFailed, match="give its password with --keyfile-password-file"):
        _ask_password((files.root / "other.key",))


def test_the_files_that_are_wrong_are_named(files, tmp_path):
    """Of several certificates the one that does not work, and the authorities of clients."""
    good = (files.root / "localhost.pem", files.root / "localhost.key")
    mixed = (files.root / "client.pem", files.root / "localhost.key")
    with pytest.raises(ValueError, match=r"client\.pem and \S+localhost\.key cannot be used: the private key does not"):
        make_tls(read_identities([good, mixed]))
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ValueError, match=r"empty\.pem cannot be used: there is no certificate"):
        make_tls(read_identities([good]), clients=TrustedClients(tmp_path / "empty.pem"))
    with pytest.raises(ValueError, match="cannot read the authorities of clients"):
        make_tls(read_identities([good]), clients=TrustedClients(tmp_path / "absent.pem"))


def test_a_certificate_and_its_key_in_one_file(run, files, tmp_path):
    """As other servers take it: --certfile alone. A file without a key is told of by its name."""
    both = tmp_path / "both.pem"
    both.write_bytes((files.root / "localhost.pem").read_bytes() + (files.root / "localhost.key").read_bytes())
    assert Certificates(certfile=(both,)).find("localhost").pairs == ((both, both),)
    assert run("serve", tmp_path, "--certfile", both, "--client-ca", tmp_path / "absent").err == (
        f"h3push: cannot read the authorities of clients {tmp_path / 'absent'}: no such file or directory\n"
    )
    alone = files.root / "localhost.pem"
    assert f"{alone} holds no private key: give its file with --keyfile" in run("serve", ".", "--certfile", alone).err


def test_flags_that_do_not_go_together(run):
    """Each certificate has its key, and early data one process."""
    assert (
        "Each --certfile needs its --keyfile: there are 2 and 1"
        in run("serve", ".", "--certfile", "a", "--certfile", "b", "--keyfile", "c").err
    )
    assert "--early-data goes with one process" in run("serve", ".", "--dev", "--early-data", "-w", "2").err
