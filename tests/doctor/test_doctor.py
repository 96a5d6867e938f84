"""`h3push doctor`: each examination finds what is broken here on purpose, and says what to type."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

import h3push
from h3push.doctor.certificate import examine_certificate, examine_chain
from h3push.doctor.finding import Finding, Level
from h3push.doctor.machine import BUFFER, examine_buffers, examine_descriptors
from h3push.doctor.middleware import REMEDY, examine_middleware
from h3push.doctor.reach import examine_reach
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.http.url import Origin
from h3push.server.certificates import development_certificates
from h3push.server.identities import read_identities
from h3push.tcp.assembly import serve_tcp_too
from h3push.tcp.side import find_backend

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def wrongs(findings: list[Finding]) -> list[str]:
    return [one.message for one in findings if one.level is Level.WRONG]


def test_small_buffers_are_told_with_the_command_that_raises_them(tmp_path: Any) -> None:
    """208 KiB is what Linux gives; what cannot be read is not spoken of."""
    (tmp_path / "rmem_max").write_text("212992\n")
    assert examine_buffers(tmp_path) == [
        Finding(
            "buffers",
            Level.ADVICE,
            "net.core.rmem_max is 212,992: packets that come in a burst are lost under load",
            "sudo sysctl -w net.core.rmem_max=4194304",
        )
    ]
    (tmp_path / "rmem_max").write_text(str(BUFFER))
    assert [one.level for one in examine_buffers(tmp_path)] == [Level.GOOD]
    assert examine_buffers(tmp_path / "none") == []


@pytest.mark.parametrize(("limit", "level"), [(1024, Level.WRONG), (65536, Level.GOOD), (-1, Level.GOOD)])
def test_few_descriptors_are_wrong(limit: int, level: Level) -> None:
    """The server raises its own limit, but not beyond the hard one."""
    assert examine_descriptors(limit).level is level


def certificate(key: Any, names: list[str], begins: datetime = NOW, ends: datetime = NOW + timedelta(days=90)) -> bytes:
    """A certificate that is signed by itself."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(begins).not_valid_after(ends)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("changed", "host", "said"),
    [
        ({}, "example.com", []),
        ({}, "www.example.com", []),
        ({}, "deep.www.example.com", ["it is for example.com, *.example.com, not for deep.www.example.com"]),
        ({"names": []}, "example.com", ["it has no subjectAltName, and no client looks at anything else"]),
        ({"ends": NOW}, "example.com", ["it expired on 2026-06-01 00:00 UTC"]),
        ({"begins": NOW + timedelta(1)}, "example.com", ["it is valid from 2026-06-02 00:00 UTC on"]),
        (
            {"key": ed25519.Ed25519PrivateKey.generate()},
            "example.com",
            ["its key is Ed25519, which browsers do not take"],
        ),
        (
            {"key": ec.generate_private_key(ec.SECP521R1())},
            "example.com",
            ["its key is on secp521r1, which not every browser takes"],
        ),
        (
            {"key": rsa.generate_private_key(65537, 1024)},
            "example.com",
            ["its key is RSA with 1024 bits, which clients refuse"],
        ),
    ],
    ids=["good", "wildcard", "name", "no names", "expired", "not yet", "ed25519", "p-521", "rsa-1024"],
)
def test_what_is_wrong_with_a_certificate(changed: dict[str, Any], host: str, said: list[str]) -> None:
    """Its life, its key and its names; nothing else is said to be wrong."""
    given: dict[str, Any] = {
        "key": KEY,
        "names": ["example.com", "*.example.com"],
        "begins": NOW - timedelta(30),
        **changed,
    }
    findings = examine_certificate(certificate(**given), host, NOW)
    assert wrongs(findings) == said
    assert all(one.remedy for one in findings if one.level is not Level.GOOD)


def test_a_certificate_that_ends_soon_is_worth_a_word() -> None:
    """It still works, so nothing is wrong."""
    soon = certificate(KEY, ["example.com"], NOW - timedelta(80), NOW + timedelta(10))
    assert examine_certificate(soon, "example.com", NOW)[0].level is Level.ADVICE


def test_a_chain_says_what_it_lacks() -> None:
    """Signed by itself, or nobody's authority; one that is taken is good."""
    own = certificate(KEY, ["example.com"])
    assert examine_chain([own], None).level is Level.GOOD
    assert examine_chain([own], "unknown issuer").message == "it is signed by itself, so no client knows it"


class Passes:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class Hides(Passes):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "extensions": {}}, receive, send)


class Drops(Passes):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def filtered(message: Any) -> None:
            if message["type"] in {"http.response.start", "http.response.body"}:
                await send(message)

        await self.app(scope, receive, filtered)


class Fails(Passes):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def strict(message: Any) -> None:
            assert message["type"] != "http.response.push"
            await send(message)

        await self.app(scope, receive, strict)


class Answers(Passes):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 400, "headers": []})


async def app(scope: Any, receive: Any, send: Any) -> None:
    raise NotImplementedError  # it is not called


def test_every_layer_is_tried_by_itself() -> None:
    """What wraps an application by `.app` is found, and each is judged by what it does with the event."""
    findings = examine_middleware(Passes(Hides(Drops(Fails(Answers(app))))))
    assert [(one.level, one.message.split(" (")[0]) for one in findings] == [
        (Level.GOOD, "Passes lets pushes through"),
        (Level.WRONG, "Hides hides the extension http.response.push from the application"),
        (Level.WRONG, "Drops drops the push event"),
        (Level.WRONG, "Fails fails on the push event"),
        (Level.ADVICE, "Answers answers a plain GET / by itself, so it could not be tried"),
    ]
    assert {one.remedy for one in findings if one.level is Level.WRONG} == {REMEDY}


def test_starlettes_middleware_is_found_by_what_it_does() -> None:
    """BaseHTTPMiddleware fails on the event, GZipMiddleware drops it, CORSMiddleware lets it through."""
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.middleware.gzip import GZipMiddleware

    class Own(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            return await call_next(request)

    layers = [Middleware(CORSMiddleware, allow_origins=["*"]), Middleware(Own), Middleware(GZipMiddleware)]
    findings = examine_middleware(Starlette(middleware=layers))
    assert [one.message for one in findings] == [
        "CORSMiddleware lets pushes through",
        "Own fails on the push event (AssertionError)",
        "GZipMiddleware drops the push event",
    ]


@pytest.mark.parametrize(
    ("alt_svc", "level", "said"),
    [
        (None, Level.GOOD, "responses over TCP say where HTTP/3 is: h3="),
        ("", Level.WRONG, "responses over TCP have no Alt-Svc field"),
        ('h2=":443"', Level.WRONG, "Alt-Svc over TCP is 'h2=\":443\"', which offers no h3"),
    ],
)
def test_alt_svc_is_read_as_a_browser_does(alt_svc: str | None, level: Level, said: str, tmp_path: Any) -> None:
    """Over TCP, from a response of the server; where it offers HTTP/3, that is where UDP is tried."""
    pytest.importorskip("uvicorn")
    made = development_certificates(tmp_path / "certificates")

    async def main() -> list[Finding]:
        handler = DirectoryHandler(Directory(tmp_path))
        server = h3push.serve(handler, "127.0.0.1", 0, certfile=made.certfile, keyfile=made.keyfile)
        kind = find_backend("uvicorn")
        assert kind is not None
        serve_tcp_too(server, kind, read_identities([(made.certfile, made.keyfile)]), alt_svc=alt_svc)
        async with server:
            return await examine_reach(Origin("127.0.0.1", server.address[1]), made.cafile, 10)

    findings = asyncio.run(main())
    found = next(one for one in findings if one.topic == "Alt-Svc")
    assert found.level is level
    assert found.message.startswith(said)
    assert [one.level for one in findings if one.topic in {"UDP", "certificate"}] == [Level.GOOD] * 5
