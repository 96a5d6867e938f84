"""Commands that show a page of a development server in the clients that this machine has, ready to paste.

A private root is not enough for a browser over QUIC. Chromium takes one only for an origin that is forced on its command line,
and then by the hash of the key; Firefox leaves HTTP/3 alone while it trusts a root that is not its own, until a preference says
not to.
"""

import shlex
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from h3push.cli.serving.certificates import CertificateFiles

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
FIREFOX = ("firefox", "firefox-esr")
PREFERENCE = "network.http.http3.disable_when_third_party_roots_found"
"""Firefox does without HTTP/3 as long as this is true and it finds a root that did not come with it."""


def commands(files: CertificateFiles, url: str, *, over_tcp: bool) -> list[str]:
    """The commands, each below a comment, so that a shell takes all of it.

    Args:
        files: the certificate, with its authority.
        url: the page.
        over_tcp: it is served over TCP too, where Firefox finds it.
    """
    cafile = shlex.quote(str(files.cafile))
    found = ["# with what is pushed", f"h3push get -v --cacert {cafile} {url}"]
    found += [
        "# Chromium, which takes a private root over QUIC only by the hash of its key",
        chromium_command(files, url),
    ]
    if over_tcp:
        found += ["# Firefox, which comes to HTTP/3 with the second page", firefox_command(files, url)]
    return found + curl_command(cafile, url, over_tcp=over_tcp)


def chromium_command(files: CertificateFiles, url: str) -> str:
    """Start Chromium with a profile of its own, beside one that runs already: only then are its flags read."""
    from h3push.server.certificates import key_hash

    return shlex.join(
        [
            _first(CHROMIUM),
            f"--user-data-dir={_profile(files, 'chromium')}",
            "--no-first-run",
            f"--origin-to-force-quic-on={urlsplit(url).netloc}",
            f"--ignore-certificate-errors-spki-list={key_hash(files.certfile)}",
            url,
        ]
    )


def firefox_command(files: CertificateFiles, url: str) -> str:
    """Make a profile that trusts the authority, and start Firefox with it; `certutil` is in libnss3-tools, or nss-tools."""
    profile = _profile(files, "firefox")
    quoted = shlex.quote(str(profile))
    preference = shlex.quote(f'user_pref("{PREFERENCE}", false);')
    trust = shlex.join(["certutil", "-A", "-d", f"sql:{profile}", "-n", "h3push", "-t", "C,,", "-i", str(files.cafile)])
    start = shlex.join([_first(FIREFOX), "--no-remote", "--profile", str(profile), url])
    return f"mkdir -p {quoted} && {trust} && echo {preference} > {quoted}/user.js && {start}"


def curl_command(cafile: str, url: str, *, over_tcp: bool) -> list[str]:
    """Fetch it with curl, over HTTP/3 where it can."""
    if _curl_has_http3():
        return ["# curl, which takes no pushes", f"curl --http3-only --cacert {cafile} {url}"]
    if over_tcp:
        return ["# curl, which has no HTTP/3 here", f"curl --cacert {cafile} {url}"]
    return []


def _curl_has_http3() -> bool:
    curl = shutil.which("curl")
    if curl is None:
        return False
    try:
        said = subprocess.run([curl, "--version"], capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return False
    return "HTTP3" in said.stdout


def _first(names: tuple[str, ...]) -> str:
    """The first of these programs that is installed."""
    return next((name for name in names if shutil.which(name) is not None), names[0])


def _profile(files: CertificateFiles, browser: str) -> Path:
    return files.certfile.absolute().parent / f"{browser}-profile"
