"""`h3push serve --metrics` on the command line. What several workers count is in `test_workers.py`."""

import re

import pytest

from h3push.cli.failures import ExitCode


@pytest.mark.parametrize("value", ["http", "localhost:", ":9090", "70000"])
def test_no_address_is_refused_in_one_sentence(run, site, value):
    """Neither a port nor host and port: that is the command line's mistake."""
    result = run("serve", site, "--dev", "--metrics", value)
    assert result.code == ExitCode.USAGE
    assert "--metrics takes [HOST:]PORT" in re.sub(r"\s+", " ", result.err.replace("│", ""))


def test_without_the_library_a_sentence_says_what_to_install(run, site, monkeypatch, tmp_path):
    """An extra that is missing is named."""
    monkeypatch.setattr("h3push.cli.metrics.find_spec", lambda _name: None)
    result = run("serve", site, "--dev", "--dev-dir", tmp_path, "--port", "0", "--metrics", "9090")
    sentence = "h3push: --metrics needs prometheus-client: pip install 'h3push[metrics]'\n"
    assert (result.code, result.err) == (ExitCode.FAILED, sentence)


def test_a_port_that_is_taken_is_refused(run, site, server, tmp_path):
    """One sentence says which port, and which flag to change."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", site, "--dev", "--dev-dir", tmp_path, "--port", "0", "--metrics", str(port))
    assert result.code == ExitCode.FAILED
    assert "--metrics: TCP port" in result.err
    assert "is in use by another program" in result.err
