"""Without the extra `client`: one sentence says what to install, and everything else works."""

import subprocess
import sys

import pytest

HIDE = """
import sys
for name in {missing!r}:
    sys.modules[name] = None
import h3push
h3push.connect
{use}
"""


def run(use, *missing):
    command = [sys.executable, "-c", HIDE.format(missing=missing, use=use)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("missing", ["httpx2", "hishel"])
@pytest.mark.parametrize("use", ["h3push.AsyncClient", "h3push.Client", "h3push.get"])
def test_one_sentence_says_what_to_install(missing, use):
    done = run(use, missing)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("ImportError: ")
    assert "pip install 'h3push[client]'" in done.stderr.splitlines()[-1]
    assert missing in done.stderr.splitlines()[-1]


def test_the_transport_needs_hishel_alone():
    """A program with httpx of its own needs no httpx2."""
    assert run("import h3push.httpx; h3push.httpx.AsyncTransport(verify=False)", "httpx2", "httpx").returncode == 0
    done = run("import h3push.httpx", "hishel")
    assert "pip install 'h3push[client]'" in done.stderr.splitlines()[-1]


def test_a_connection_and_a_pool_need_neither():
    assert run("import h3push.client.pool; h3push.client.pool.Pool()", "httpx2", "httpx", "hishel").returncode == 0
