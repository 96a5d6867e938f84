"""What a page needs, read from its files."""

import pytest
from sites import resource

from h3push.lab.place import site_of_directory
from h3push.lab.site import SiteError, known_in_order
from h3push.plans.plan import Stage

INDEX = "<link rel=stylesheet href=a.css><p>text</p><img src=late.png><img src=gone.png><img src=https://else.example/x.png>"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "a.css").write_text("@import 'b.css'; p { font-family: F }")
    (tmp_path / "b.css").write_text("@font-face { font-family: F; src: url(f.bin) }")
    (tmp_path / "f.bin").write_bytes(bytes(500))
    (tmp_path / "late.png").write_bytes(bytes(300))
    return tmp_path


def test_a_directory_tells_sizes_levels_and_who_names_whom(root):
    site = site_of_directory(root, "/")
    found = {one.path: one for one in site.resources}
    assert set(found) == {"/a.css", "/b.css", "/f.bin", "/late.png"}
    assert found["/b.css"].named_in == ("/a.css",)
    assert set(found["/f.bin"].named_in) == {"/", "/a.css", "/b.css"}  # a font waits for every style sheet
    assert found["/late.png"].position == INDEX.index("late.png") + len("late.png")
    assert (found["/f.bin"].size, found["/f.bin"].stage) == (500, Stage.FONT)
    assert (site.depth, site.left_out, site.blocks) == (3, 1, True)
    assert site.content_bytes == sum(path.stat().st_size for path in root.iterdir())


@pytest.mark.parametrize(("page", "sentence"), [("/none.html", "has no page at /none.html"), ("x", "begins with /")])
def test_a_page_that_is_not_there_is_one_sentence(root, page, sentence):
    with pytest.raises(SiteError, match=sentence):
        site_of_directory(root, page)


def test_resources_that_name_each_other_are_known_from_the_page():
    circle = [resource("/a", "/b"), resource("/b", "/a"), resource("/c", "/gone")]
    ordered = known_in_order("/", circle)
    assert [(one.path, one.named_in) for one in ordered] == [("/c", ("/",)), ("/a", ("/",)), ("/b", ("/a",))]
