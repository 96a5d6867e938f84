"""What a page needs, read from what a browser recorded."""

import json

import pytest

from h3push.lab.archive import site_of_archive
from h3push.lab.site import SiteError
from h3push.plans.plan import ResourceKind, Stage

ORIGIN = "https://shop.example"


def entry(path, at, *, wait=50, receive=10, size=1000, mime="text/css", **more):
    """A recorded request that began `at` milliseconds after the first one."""
    return {
        "startedDateTime": f"2026-01-01T00:00:{at / 1000:09.6f}Z",
        "time": wait + receive,
        "request": {"method": more.pop("method", "GET"), "url": path if "://" in path else ORIGIN + path},
        "response": {
            "status": more.pop("status", 200),
            "bodySize": size,
            "content": {"size": 3 * size, "mimeType": mime},
        },
        "timings": {"wait": wait, "receive": receive},
        **more,
    }


@pytest.fixture
def read(tmp_path):
    def read(*entries):
        path = tmp_path / "page.har"
        path.write_text(json.dumps({"log": {"entries": entries}}))
        return site_of_archive(path)

    return read


def test_sizes_initiators_and_times_of_both_sides_are_taken_and_the_network_is_left_out(read):
    script = {"type": "script", "stack": {"callFrames": [{"url": f"{ORIGIN}/app.js"}]}}
    site = read(
        entry("/old", 0, status=301),
        entry("/", 100, wait=250, receive=100, size=9000, mime="text/html; charset=utf-8"),
        entry("/a.css", 375, _initiator={"type": "parser", "url": f"{ORIGIN}/"}),
        entry(
            "/app.js", 500, mime="text/javascript", _initiator={"type": "parser", "url": f"{ORIGIN}/"}, _priority="Low"
        ),
        entry("/data", 600, wait=80, mime="application/json", _initiator=script, _resourceType="fetch"),
        entry("https://cdn.example/x.js", 380),
        entry("/beacon", 700, method="POST"),
    )
    found = {one.path: one for one in site.resources}
    assert (site.path, site.size, site.thinking) == ("/", 9000, pytest.approx(0.2))
    assert site.left_out == 3  # another origin, another method, a redirect
    assert found["/a.css"].position == 2250  # a quarter of the page had come
    assert (found["/app.js"].stage, found["/app.js"].size) == (Stage.DEFERRED, 1000)
    data = found["/data"]
    assert (data.named_in, data.kind) == (("/app.js",), ResourceKind.FETCH)
    assert data.delay == pytest.approx(0.04)  # the script ended at 560
    assert data.thinking == pytest.approx(0.03)
    assert site.depth == 2


def test_without_initiators_a_request_is_of_the_last_response_that_had_ended(read):
    documents = [entry(path, at, mime="application/json") for path, at in (("/1", 0), ("/2", 70), ("/3", 150))]
    site = read(*documents)
    assert [(one.path, one.named_in) for one in site.resources] == [("/2", ("/1",)), ("/3", ("/2",))]
    assert [round(one.delay, 6) for one in site.resources] == [0.01, 0.02]
    assert (site.path, site.depth, site.blocks) == ("/1", 2, False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "no HTTP archive"),
        ("[1]", "no HTTP archive"),
        ('{"log": {"entries": [{"request": 1}]}}', "no HTTP archive"),
        ('{"log": {"entries": []}}', "no answer to a GET"),
    ],
)
def test_what_is_no_recording_is_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "page.har"
    path.write_text(text)
    with pytest.raises(SiteError, match=sentence):
        site_of_archive(path)


def test_the_archive_that_h3push_get_writes_is_read(tmp_path, read):
    pushed = entry("/style.css", 20, _was_pushed=1)
    site = read(entry("/", 0, mime="text/html"), pushed)
    assert [one.path for one in site.resources] == ["/style.css"]
