"""The decision: push, 103 or Link; what a request asks for; what a path means; what a promise carries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h3push.delivery.decision import (
    DELIVERY,
    Moment,
    Way,
    promised_fields,
    refused_by_request,
    target_to_push,
)
from h3push.h3.push.rules import PushRefusal
from h3push.http.url import resolve, target_of

PAGE = "https://origin.example/docs/page?x=1"


def test_the_table_is_complete() -> None:
    """Every client at every moment; who agreed is pushed to, who did not is told while that is possible."""
    assert set(DELIVERY) == {(agreed, moment) for agreed in (True, False) for moment in Moment}
    assert {way for (agreed, _), way in DELIVERY.items() if agreed} == {Way.PUSH}
    assert Way.PUSH not in {way for (agreed, _), way in DELIVERY.items() if not agreed}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (b"save-data", b"on", PushRefusal.SAVE_DATA),
        (b"save-data", b"On; x", PushRefusal.SAVE_DATA),
        (b"save-data", b"off", None),
        (b"save-data", b"", None),
        (b"accept-push-policy", b"none", PushRefusal.PUSH_POLICY),
        (b"accept-push-policy", b"head", PushRefusal.PUSH_POLICY),
        (b"accept-push-policy", b"default", None),
        (b"accept-push-policy", b"fast-load", None),
        (b"x-save-data", b"on", None),
    ],
)
def test_what_a_request_asks_for(name: bytes, value: bytes, expected: PushRefusal | None) -> None:
    """RFC 8674's Save-Data and draft-ruellan-http-accept-push-policy."""
    assert refused_by_request([(name, value)]) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", "/a"),
        ("/", "/"),
        ("/a%2fb", "/a%2fb"),
        ("/%", "/%25"),
        ("/%zz%41", "/%25zz%41"),
        ("/a;b=c,d", "/a;b=c,d"),
        ("/a?b[]=c|d", "/a?b[]=c|d"),
        ("/ ", "/%20"),
        ("/..", "/"),
        ("HTTPS://ORIGIN.example/a", "/a"),
        ("https://origin.example:443/a", "/a"),
        ("https://origin.example:444/a", PushRefusal.AUTHORITY),
        ("https://[", PushRefusal.AUTHORITY),
        ("a/b", PushRefusal.RELATIVE),
        ("./a", PushRefusal.RELATIVE),
        ("#x", PushRefusal.RELATIVE),
        ("/\x85", PushRefusal.MALFORMED),
        (5, PushRefusal.MALFORMED),
    ],
)
def test_what_a_path_means(path: object, expected: str | PushRefusal) -> None:
    """The target that a browser would ask for, or a refusal; never an exception."""
    assert target_to_push(path, PAGE) == expected


@given(
    st.lists(st.sampled_from([*"/ab._~-?=&Z9'[:@!", "%2e", "%2E", "%25", "%41"]), max_size=12)
    .map("".join)
    .filter(lambda rest: not rest.startswith("/"))
)
def test_a_usual_path_means_what_a_reference_to_it_does(rest: str) -> None:
    """The short way for paths that have nothing to encode and nothing to resolve comes out where the long way does."""
    url = resolve(PAGE, f"/{rest}")
    assert url is not None
    assert target_to_push(f"/{rest}", PAGE) == target_of(url)


def test_a_promise_carries_request_fields_of_the_page_and_those_given() -> None:
    """Given ones replace; nothing else of the page's request is copied, credentials on demand."""
    page = [(b"accept", b"a"), (b"user-agent", b"u"), (b"cookie", b"c"), (b"x", b"y"), (b"if-none-match", b'"1"')]
    assert promised_fields(page, []) == [(b"accept", b"a"), (b"user-agent", b"u")]
    assert promised_fields(page, [(b"Accept", b"b")]) == [(b"user-agent", b"u"), (b"accept", b"b")]
    assert (b"cookie", b"c") in promised_fields(page, [], credentials=True)
    assert promised_fields([], [(b":path", b"/"), (b"Host", b"h"), (b"content-type", b"t")]) == []
