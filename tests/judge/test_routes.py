"""Routes: which pages count as one."""

import pytest

from h3push.control.routes import Match, RouteError
from h3push.judge.routes import MAX_SIBLINGS, find_routes


def test_identifiers_are_placeholders() -> None:
    """Numbers, UUIDs and long hexadecimal words; the values are kept."""
    uuid, word = "8d5b8e6a-2c45-4b1f-9d0a-5b375d2199a7", "95d78e3f05319907"
    found = find_routes(["/", "/orders/17", f"/u/{uuid}/x", f"/b/{word}", "/about", "/facade"])
    assert found["/orders/17"] == Match("/orders/{1}", ("17",))
    assert found[f"/u/{uuid}/x"].route == "/u/{1}/x"
    assert found[f"/b/{word}"].route == "/b/{1}"
    assert [found[path].route for path in ("/", "/about", "/facade")] == ["/", "/about", "/facade"]


def test_many_siblings_are_one_route() -> None:
    """Names fold when more than MAX_SIBLINGS of them stand in one place, and not before; directories keep their slash."""
    few = [f"/guide/page-{number}-x" for number in range(MAX_SIBLINGS)]
    assert find_routes(few)[few[0]].route == few[0]
    many = [f"/guide/page-{number}-x/" for number in range(MAX_SIBLINGS + 1)]
    found = find_routes([*many, "/guide/"])
    assert found[many[3]] == Match("/guide/{1}/", ("page-3-x",))
    assert found["/guide/"].route == "/guide/"


def test_given_templates_go_first() -> None:
    """A template that is given decides, whatever the paths look like."""
    found = find_routes(["/blog/a", "/blog/b", "/17"], ["/blog/{slug}"])
    assert found["/blog/a"] == Match("/blog/{1}", ("a",))
    assert found["/17"].route == "/{1}"


@pytest.mark.parametrize("template", ["orders", "/a{", "/{a/b}"])
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(RouteError, match="is no route"):
        find_routes(["/a"], [template])
