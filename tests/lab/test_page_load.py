"""A page load: what it discovers, in how many round trips, and what it takes from pushes."""

import pytest

from h3push.lab.emulation import AccessLink, emulated_page_load

FAST = AccessLink(round_trip=0.1, rate=1_000_000_000)


@pytest.fixture
def site(tmp_path):
    def write(**files):
        for name, content in files.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        return tmp_path

    return write


def round_trips(load):
    """The number of round trips that a load took, the handshake among them."""
    return round(load.duration / FAST.round_trip)


def test_every_level_of_a_page_costs_a_round_trip_and_none_with_pushes(site):
    root = site(
        index_html="<link rel=stylesheet href=a.css><p>x",
        a_css="@import 'b.css';",
        b_css="@font-face { font-family: F; src: url(f.bin) } p { font-family: F }",
        f_bin="font",
    )
    asked = emulated_page_load(root, "/", FAST, max_pushes=None)
    pushed = emulated_page_load(root, "/", FAST, max_pushes=100)
    assert [resource.path for resource in asked.resources] == ["/", "/a.css", "/b.css", "/f.bin"]
    assert [resource.path for resource in pushed.resources] == ["/", "/a.css", "/b.css", "/f.bin"]
    assert round_trips(asked) == 5
    assert round_trips(pushed) == 2
    assert round(asked.blocking_duration / FAST.round_trip) == 4
    assert asked.content_bytes == pushed.content_bytes


def test_fonts_and_images_of_styles_are_fetched_only_when_they_are_used(site):
    root = site(
        index_html="<style>@font-face { font-family: A; src: url(a.bin) } .never { background: url(b.bin) }</style><p>x",
        a_bin="a",
        b_bin="b",
    )
    for max_pushes in (None, 100):
        load = emulated_page_load(root, "/", FAST, max_pushes=max_pushes)
        assert [resource.path for resource in load.resources] == ["/"]
        assert load.unused == 0


def test_what_is_pushed_in_part_is_asked_for_in_part(site):
    root = site(index_html="<img src=a.bin><img src=b.bin><img src=c.bin>", a_bin="a", b_bin="b", c_bin="c")
    load = emulated_page_load(root, "/", FAST, max_pushes=1)
    assert [(resource.path, resource.pushed) for resource in load.resources] == [
        ("/", False),
        ("/a.bin", True),
        ("/b.bin", False),
        ("/c.bin", False),
    ]
    assert round_trips(load) == 3


def test_a_missing_resource_is_loaded_with_its_status(site):
    load = emulated_page_load(site(index_html="<img src=gone.png>"), "/", FAST, max_pushes=100)
    assert [resource.status for resource in load.resources] == [200, 404]
