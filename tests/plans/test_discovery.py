"""A page load by what it finds: each resource once, step by step, within bounds."""

from h3push.plans.discovery import Discovery
from h3push.plans.page import PageScanSettings

URL = "https://site.test/dir/page"


def urls(references):
    return [reference.url.removeprefix("https://site.test") for reference in references]


def test_markup_is_read_as_it_arrives():
    """What the first bytes name is known at once, and given out once."""
    discovery = Discovery(URL)
    html = b"<link rel=stylesheet href=a.css><img src=/i.png><p>text"
    assert urls(discovery.in_markup(html[:40])) == ["/dir/a.css"]
    assert urls(discovery.in_markup(html)) == ["/i.png"]
    assert urls(discovery.in_page(html)) == []


def test_imports_are_relative_to_their_sheet_and_found_once():
    """An import that leads in a circle ends."""
    discovery = Discovery(URL)
    page = b"<link rel=stylesheet href=/css/a.css><style>@import '/css/c.css'</style>"
    assert urls(discovery.in_page(page)) == ["/css/a.css", "/css/c.css"]
    assert urls(discovery.in_sheet("https://site.test/css/a.css", b"@import 'b.css';")) == ["/css/b.css"]
    assert urls(discovery.in_sheet("https://site.test/css/b.css", b"@import 'a.css';")) == []


def test_imports_of_imports_end_at_their_depth():
    """A server that makes a new import for each sheet does not keep a client busy for ever."""
    discovery = Discovery(URL, settings=PageScanSettings(max_import_depth=3))
    found = discovery.in_page(b"<link rel=stylesheet href=0.css>")
    depth = 0
    while found:
        depth += 1
        found = discovery.in_sheet(found[0].url, b"@import '%d.css';" % depth)
    assert depth == 4


def test_fonts_and_images_wait_for_every_sheet():
    """A font is needed when some sheet uses its family, an image when an element matches."""
    discovery = Discovery(URL)
    discovery.in_page(b"<link rel=stylesheet href=a.css><link rel=stylesheet href=b.css><p class=x>text")
    sheet = b"@font-face{font-family:F;src:url(f.woff2)} .x{background:url(x.png)} .never{background:url(n.png)}"
    assert discovery.in_sheet("https://site.test/dir/a.css", sheet) == []
    assert discovery.in_sheet("https://site.test/dir/b.css", b"p{font-family:F}") == []
    assert urls(discovery.in_styles()) == ["/dir/f.woff2", "/dir/x.png"]


def test_the_number_of_resources_is_bounded():
    """Beyond the bound nothing is given out, and it is counted."""
    discovery = Discovery(URL, most=3)
    assert len(discovery.in_page(b"".join(b"<img src=%d.png>" % number for number in range(10)))) == 3
    assert discovery.left_out == 7


def test_selectors_cannot_take_the_time_of_a_client():
    """Selectors are asked for within the bound on work: beyond it an image counts as not shown."""
    discovery = Discovery(URL, settings=PageScanSettings(max_work=10))
    discovery.in_page(b"<p class=x>")
    rules = b"".join(b"p:nth-child(%d), .x { background: url(%d.png) }" % (number, number) for number in range(50))
    discovery.in_sheet("https://site.test/dir/a.css", rules)
    assert 0 < len(discovery.in_styles()) <= 10
