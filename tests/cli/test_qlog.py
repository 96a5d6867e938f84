"""`--qlog DIR` of `h3push get` and `h3push serve`: a file for each connection, with what became of each push."""

import json
import socket
import subprocess
import sys


def events(directory, role):
    """The events of the one file that this side wrote."""
    (path,) = directory.glob(f"*_{role}.sqlog")
    _header, *texts = path.read_text().split("\x1e")[1:]
    return [json.loads(text) for text in texts]


def test_get_writes_what_became_of_each_push(run, server, tmp_path):
    """A push that answers the next URL is claimed, one that is cancelled or that nobody asks for abandoned."""
    url = server.url
    result = run("get", "-k", "--cancel", "empty.png", "--qlog", tmp_path / "made", url, url + "style.css")
    assert result.code == 0
    told = events(tmp_path / "made", "client")
    parsed = [event["data"]["frame"] for event in told if event["name"] == "http3:frame_parsed"]
    promises = [frame for frame in parsed if frame["frame_type"] == "push_promise"]
    paths = {
        frame["push_id"]: next(field["value"] for field in frame["headers"] if field["name"] == ":path")
        for frame in promises
    }
    decided = {
        paths[event["data"]["push_id"]]: event["data"]["decision"]
        for event in told
        if event["name"] == "http3:push_resolved"
    }
    assert decided == {"/style.css": "claimed", "/a%20b.png": "abandoned", "/empty.png": "abandoned"}


def test_a_directory_that_cannot_be_made_is_said(run, tmp_path):
    """--qlog below a file is one sentence, and exit code 23."""
    (tmp_path / "file").write_text("")
    result = run("get", "--qlog", tmp_path / "file" / "below", "https://localhost:1/")
    assert (result.code, result.err) == (23, f"h3push: cannot write to {tmp_path}/file/below: not a directory\n")


def test_serve_writes_its_side_of_each_connection(run, certificates, site, tmp_path):
    """What a server created is what its client parsed; content of files is told by its frames."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ["--certfile", certificates.certfile, "--keyfile", certificates.keyfile, "--port", port, "--tcp", "off"]
    main = [sys.executable, "-c", "from h3push.cli import main; main()"]
    command = [*main, "serve", site, "--host", "127.0.0.1", "--quiet", "--qlog", tmp_path, *flags]
    with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True) as serving:
        try:
            assert "serving" in serving.stderr.readline()
            result = run("get", "-k", "--qlog", tmp_path, "-o", "/dev/null", f"https://127.0.0.1:{port}/")
            assert result.code == 0, result.err
        finally:
            serving.terminate()
    created = [event["data"]["frame"] for event in events(tmp_path, "server") if event["name"] == "http3:frame_created"]
    parsed = [event["data"]["frame"] for event in events(tmp_path, "client") if event["name"] == "http3:frame_parsed"]
    kinds = sorted(frame["frame_type"] for frame in parsed if frame["frame_type"] != "goaway")
    assert kinds == sorted(frame["frame_type"] for frame in created if frame["frame_type"] != "goaway")
    assert kinds.count("push_promise") == 3
