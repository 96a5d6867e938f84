"""Whom a client trusts and who it says that it is: `verify`, `cert` and `trust_env` as httpx and httpx2 mean them."""

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import aioquic.tls
import httpx
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

import h3push
from h3push.client.pool import Pool
from h3push.client.tls import make_tls
from h3push.httpx import AsyncTransport, Transport
from h3push.server.certificates import development_certificates

from .strangers import AIOQUIC, stranger_server

BOTH = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return development_certificates(tmp_path_factory.mktemp("server"), ["localhost"])


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    """Files of a client's certificate: (chain, key), all in one, and (chain, encrypted key, password)."""
    directory = tmp_path_factory.mktemp("client")
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "person.example")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, secret.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    chain = made.sign(secret, hashes.SHA256()).public_bytes(Encoding.PEM)
    key = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "chain.pem").write_bytes(chain)
    (directory / "key.pem").write_bytes(key)
    (directory / "both.pem").write_bytes(chain + key)
    encrypted = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (directory / "encrypted.pem").write_bytes(encrypted)
    return {
        "a file for each": (directory / "chain.pem", directory / "key.pem"),
        "one file": str(directory / "both.pem"),
        "a password": (str(directory / "chain.pem"), str(directory / "encrypted.pem"), "secret"),
    }


@contextmanager
def asking_server(monkeypatch, certificates):
    """A server of aioquic that asks its clients for a certificate; gives its port, and the names that they showed."""
    began = threading.Event()
    place, shown = {}, []
    make = aioquic.tls.Context.__init__

    def asking(context, is_client, *arguments, **keywords):
        make(context, is_client, *arguments, **keywords)
        context._request_client_certificate = not is_client

    def answer(peer, request):
        shown.append(peer._quic.tls._peer_certificate.subject.rfc4514_string())
        peer.respond(request.stream_id, 200, [], b"known")

    async def main():
        async with stranger_server(AIOQUIC, certificates, answer) as server:
            place.update(port=server.port, loop=asyncio.get_running_loop(), end=asyncio.Event())
            began.set()
            await place["end"].wait()

    monkeypatch.setattr(aioquic.tls.Context, "__init__", asking)
    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    assert began.wait(10)
    try:
        yield place["port"], shown
    finally:
        place["loop"].call_soon_threadsafe(place["end"].set)
        thread.join(10)


@pytest.mark.parametrize("form", ["a file for each", "one file", "a password"])
def test_a_client_shows_its_certificate_in_every_form_that_httpx_takes(monkeypatch, certificates, person, form):
    """`cert=` of the transports, of our clients, of `get`, of the pool and of `connect` reaches the server over HTTP/3."""
    tls = {"verify": str(certificates.cafile), "cert": person[form]}

    async def by_awaiting(port):
        async with httpx2.AsyncClient(transport=AsyncTransport(fallback=False, **tls)) as client:
            assert (await client.get(f"https://localhost:{port}/")).content == b"known"
        async with Pool(cafile=certificates.cafile, cert=person[form]) as pool:
            assert await (await pool.request("GET", f"https://localhost:{port}/")).read() == b"known"
        url = f"https://localhost:{port}/"
        async with h3push.connect(url, cafile=certificates.cafile, cert=person[form]) as one:
            assert await (await one.get("/")).read() == b"known"

    with asking_server(monkeypatch, certificates) as (port, shown):
        url = f"https://localhost:{port}/"
        with httpx.Client(mounts={"https://localhost": Transport(fallback=False, **tls)}) as client:
            assert client.get(url).content == b"known"
        with h3push.Client(fallback=False, **tls) as client:
            assert client.get(url).content == b"known"
        assert h3push.get(url, fallback=False, **tls).content == b"known"
        asyncio.run(by_awaiting(port))
    assert shown == ["CN=person.example"] * 6


@pytest.mark.parametrize(("cert", "says"), [
    ("/nowhere.pem", "cannot read the client certificate in '/nowhere.pem': No such file"),
    (("one",), "certificate file, key file"),
])  # fmt: skip
def test_a_certificate_that_cannot_be_used_is_an_error_at_once(cert, says):
    """One sentence, and nothing is connected to."""
    with pytest.raises(ValueError, match=says):
        Transport(cert=cert)


def test_a_wrong_password_is_an_error_that_names_the_file(person):
    """And a number is no certificate."""
    chain, key, _ = person["a password"]
    with pytest.raises(ValueError, match=r"encrypted\.pem.*password"):
        make_tls(cert=(chain, key, "guess"))
    with pytest.raises(ValueError, match="decrypt it first"):
        make_tls(cert=(chain, key))
    with pytest.raises(TypeError, match="cert"):
        make_tls(cert=3)


@contextmanager
def served(certificates):
    """A server of ours in a thread; gives its URL."""
    began = threading.Event()
    place = {}

    async def main():
        files = {"certfile": certificates.certfile, "keyfile": certificates.keyfile}
        async with h3push.serve(lambda _: h3push.Response(200, {}, b"x"), "127.0.0.1", 0, **files) as server:
            place.update(port=server.address[1], loop=asyncio.get_running_loop(), end=asyncio.Event())
            began.set()
            await place["end"].wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    assert began.wait(10)
    try:
        yield f"https://localhost:{place['port']}/"
    finally:
        place["loop"].call_soon_threadsafe(place["end"].set)
        thread.join(10)


def trusting(library, **tls):
    return library.Client(transport=Transport(fallback=False, **tls))


@BOTH
def test_verify_is_a_file_a_directory_or_a_context(library, certificates, tmp_path):
    """What httpx takes, and the same for both transports; a context without a check has none here either."""
    directory = tmp_path / "authorities"
    directory.mkdir()
    (directory / "ours.pem").write_bytes(certificates.cafile.read_bytes())
    (directory / "readme.txt").write_text("no certificate")
    trusts = ssl.create_default_context(cafile=str(certificates.cafile))
    trusts_anyone = library.create_ssl_context(verify=False)
    with served(certificates) as url:
        for verify in (str(certificates.cafile), certificates.cafile, directory, trusts, trusts_anyone, False):
            with trusting(library, verify=verify) as client:
                assert client.get(url).content == b"x"
        with trusting(library, verify=True) as client, pytest.raises(library.ConnectError, match="not trusted"):
            client.get(url)
    (directory / "ours.pem").unlink()
    with pytest.raises(ValueError, match="no PEM file"):
        Transport(verify=directory)
    with pytest.raises(ValueError, match="no authorities"):
        Transport(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


COUNTED = """
import sys
import httpx2, h3push
try:
    print(h3push.get(sys.argv[1], trust_env=sys.argv[2] == "1", fallback=False).content)
except httpx2.ConnectError as error:
    print(error)
"""


def test_trust_env_says_whether_the_environment_names_authorities(certificates, monkeypatch):
    """SSL_CERT_FILE is heard by default, as in both libraries, and not with `trust_env=False`."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.cafile))
    with served(certificates) as url:

        def told(trust_env):
            command = [sys.executable, "-c", COUNTED, url, trust_env]
            return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

        assert told("1") == "b'x'\n"
        assert "not trusted" in told("0")


def test_the_ordinary_transport_trusts_and_shows_the_same(certificates, person):
    """Whatever takes over has the same authorities and the same certificate; a proxy's transport too."""
    transport = Transport(verify=str(certificates.cafile), cert=person["one file"])
    asked = []
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    listening.load_cert_chain(certificates.certfile, certificates.keyfile)
    listening.verify_mode = ssl.CERT_REQUIRED
    listening.load_verify_locations(person["a file for each"][0])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with listening.wrap_socket(connection, server_side=True) as secure:
                asked.append(secure.getpeercert()["subject"])
                secure.recv(4096)
                secure.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\ntcp")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with httpx2.Client(transport=transport) as client:
            assert client.get(f"https://localhost:{listener.getsockname()[1]}/").content == b"tcp"
        thread.join(5)
    assert asked == [((("commonName", "person.example"),),)]


def test_a_proxy_takes_every_request_and_one_of_the_environment_none(monkeypatch):
    """`proxy=` is httpx2's; HTTP/3 goes through no HTTP proxy. Variables name none for a client with a transport."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with h3push.Client(verify=False) as client:
        assert isinstance(client._transport_for_url(httpx2.URL("https://a.example/")), Transport)
    with h3push.Client(verify=False, proxy="http://127.0.0.1:1") as client:
        assert not isinstance(client._transport_for_url(httpx2.URL("https://a.example/")), Transport)
