"""Which requests a pushed response answers, and which it must never answer."""

import pytest

from h3push.client.claims import Mismatch, why_not_promised, why_not_response
from h3push.http.fields import RequestHead, ResponseHead

HTTPX = [(b"accept", b"*/*"), (b"accept-encoding", b"gzip, deflate"), (b"user-agent", b"python-httpx2/2.16")]


def request(path=b"/style.css", *fields, method=b"GET", authority=b"example.org", scheme=b"https"):
    return RequestHead(method, scheme, authority, path, list(fields), None)


def response(*fields, status=200):
    return ResponseHead(status, list(fields), None)


PAGE = request(b"/", *HTTPX)
PROMISE = request()


@pytest.mark.parametrize("authority", [b"example.org", b"EXAMPLE.org", b"example.org:443"])
def test_a_bare_promise_answers_a_request_with_the_usual_fields(authority):
    """Most servers promise a request without a single field; a client's defaults must not rule it out."""
    asked = request(b"/style.css", *HTTPX, (b"cookie", b"a=1"), authority=authority)
    assert why_not_promised(asked, PROMISE, PAGE) is None
    assert why_not_response(asked, PROMISE, response((b"content-type", b"text/css"))) is None


@pytest.mark.parametrize(
    "other",
    [
        {"path": b"/style.css?v=2"},
        {"path": b"/Style.css"},
        {"method": b"HEAD"},
        {"method": b"POST"},
        {"authority": b"other.example"},
        {"authority": b"example.org:8443"},
        {"scheme": b"http"},
    ],
)
def test_another_method_or_url_is_another_resource(other):
    """RFC 9111 section 4: method and target URI are the key; another origin never shares an entry."""
    asked = request(**{"path": b"/style.css", **other})
    assert why_not_promised(asked, PROMISE, PAGE) is Mismatch.TARGET


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ((b"range", b"bytes=0-9"), Mismatch.RANGE),
        ((b"if-none-match", b'"x"'), Mismatch.CONDITIONAL),
        ((b"if-modified-since", b"Tue, 01 Jul 2025 00:00:00 GMT"), Mismatch.CONDITIONAL),
        ((b"if-range", b'"x"'), Mismatch.CONDITIONAL),
        ((b"cache-control", b"no-cache"), Mismatch.RELOAD),
        ((b"cache-control", b"max-age=0"), Mismatch.RELOAD),
        ((b"cache-control", b"No-Store"), Mismatch.RELOAD),
        ((b"pragma", b"no-cache"), Mismatch.RELOAD),
    ],
)
def test_what_a_stored_answer_cannot_answer_goes_to_the_server(field, why):
    """Parts, conditions and reloads are questions to the server."""
    assert why_not_promised(request(b"/style.css", field), PROMISE, PAGE) is why


@pytest.mark.parametrize(
    ("directives", "age", "why"),
    [
        (b"max-age=0", 0.0, None),
        (b"max-age=0", 0.1, Mismatch.RELOAD),
        (b"max-age=10", 9.9, None),
        (b"max-age=10", 10.1, Mismatch.RELOAD),
        (b"max-age=0, no-cache", 0.0, Mismatch.RELOAD),
        (b"max-age=soon", 0.0, Mismatch.RELOAD),
        (b"max-age=99999999999999999999", 1e6, None),
    ],
)
def test_a_request_says_how_old_its_answer_may_be(directives, age, why):
    """RFC 9111 section 5.2.1.1: a push under way has no age; `no-cache` asks the server whatever the age."""
    asked = request(b"/style.css", (b"cache-control", directives))
    assert why_not_promised(asked, PROMISE, PAGE, age=age) is why


ALICE = (b"authorization", b"Bearer alice")
BOB = (b"authorization", b"Bearer bob")


@pytest.mark.parametrize(
    ("asked", "promised", "initiator", "same"),
    [
        ((ALICE,), (ALICE,), (ALICE,), True),
        ((BOB,), (ALICE,), (ALICE,), False),
        ((), (ALICE,), (ALICE,), False),
        ((ALICE,), (), (ALICE,), True),
        ((BOB,), (), (ALICE,), False),
        ((), (), (ALICE,), False),
        ((ALICE,), (), (), False),
        ((), (), (), True),
    ],
)
def test_nobody_gets_what_was_pushed_for_somebody_else(asked, promised, initiator, same):
    """The credentials are those of the promise, or of the request that it came with, or there is no claim."""
    why = why_not_promised(request(b"/style.css", *asked), request(b"/style.css", *promised), request(b"/", *initiator))
    assert why is (None if same else Mismatch.AUTHORIZATION)


@pytest.mark.parametrize(
    "says",
    [
        (b"cache-control", b"max-age=60, private"),
        (b"vary", b"Accept, Authorization"),
        (b"cache-control", b'private="x"'),
    ],
)
def test_an_answer_that_depends_on_credentials_wants_them_in_the_promise(says):
    """A promise without Authorization was answered as for nobody; whoever has credentials asks for an answer of his own."""
    asked = request(b"/style.css", ALICE)
    assert why_not_promised(asked, PROMISE, request(b"/", ALICE)) is None
    assert why_not_response(asked, PROMISE, response(says)) is Mismatch.AUTHORIZATION
    assert why_not_response(asked, request(b"/style.css", ALICE), response(says)) is None


@pytest.mark.parametrize(
    ("promised", "says", "why"),
    [
        ((), (b"content-type", b"text/css"), None),
        ((), (b"cache-control", b"private"), Mismatch.COOKIE),
        ((), (b"vary", b"cookie"), Mismatch.COOKIE),
        (((b"cookie", b"session=1"),), (b"vary", b"cookie"), None),
    ],
)
def test_cookies_count_where_the_answer_depends_on_them(promised, says, why):
    """A missing cookie in the promise matters for what is private or varies on it, and for nothing else."""
    asked = request(b"/style.css", (b"cookie", b"session=1"))
    promise = request(b"/style.css", *promised)
    assert why_not_promised(asked, promise, PAGE) is None
    assert why_not_response(asked, promise, response(says)) is why


def test_a_cookie_that_the_promise_carries_is_the_requests_own():
    """Another session's promise is refused before its response is there."""
    promise = request(b"/style.css", (b"cookie", b"session=2"))
    assert why_not_promised(request(b"/style.css", (b"cookie", b"session=1")), promise, PAGE) is Mismatch.COOKIE
    assert why_not_promised(request(b"/style.css"), promise, PAGE) is Mismatch.COOKIE


@pytest.mark.parametrize(
    ("accepts", "coding", "fits"),
    [
        (b"gzip, deflate", b"", True),
        (b"gzip, deflate", b"gzip", True),
        (b"gzip, deflate", b"GZIP", True),
        (b"gzip, deflate", b"br", False),
        (b"br;q=0, *", b"br", False),
        (b"br; q=0.000", b"br", False),
        (b"*", b"br", True),
        (b"gzip", b"gzip, br", False),
        (b"", b"gzip", False),
        (b"identity;q=0, gzip", b"", False),
        (b"*;q=0", b"", False),
        (b"identity, *;q=0", b"", True),
        (None, b"br", True),
    ],
)
def test_a_coding_that_the_request_accepts_fits_whatever_the_promise_said(accepts, coding, fits):
    """`Vary: accept-encoding` with a promise that names none is answered by the response that came (RFC 9110 section 12.5.3)."""
    asked = request(b"/style.css", *([] if accepts is None else [(b"accept-encoding", accepts)]))
    answer = response((b"vary", b"Accept-Encoding"), *([(b"content-encoding", coding)] if coding else []))
    assert why_not_response(asked, PROMISE, answer) is (None if fits else Mismatch.CODING)


@pytest.mark.parametrize(
    ("vary", "asked", "promised", "same"),
    [
        (b"*", (), (), False),
        (b"accept", ((b"accept", b"*/*"),), (), True),
        (b"accept", ((b"accept", b"text/css"),), (), False),
        (b"accept", ((b"accept", b"text/css , */*"),), ((b"accept", b"text/css,*/*"),), True),
        (b"accept-language", ((b"accept-language", b"de"),), ((b"accept-language", b"en"),), False),
        (b"user-agent", ((b"user-agent", b"a"),), (), False),
        (b"origin", (), (), True),
        (b"x-tenant", ((b"x-tenant", b"1"), (b"x-tenant", b"2")), ((b"x-tenant", b"1, 2"),), True),
    ],
)
def test_fields_that_the_response_varies_on_are_the_same(vary, asked, promised, same):
    """RFC 9111 section 4.1: the selecting fields of both requests match; `*` never does."""
    why = why_not_response(request(b"/style.css", *asked), request(b"/style.css", *promised), response((b"vary", vary)))
    assert why is (None if same else Mismatch.VARY)


@pytest.mark.parametrize("status", [206, 304, 412, 416, 421, 425])
def test_an_answer_to_a_condition_or_a_range_answers_no_other_request(status):
    """RFC 9110 section 15: they mean something only with the fields of the promised request, or on its connection."""
    asked = request(b"/style.css", *HTTPX)
    assert why_not_response(asked, PROMISE, response(status=status)) is Mismatch.STATUS


@pytest.mark.parametrize(
    ("asked", "promised", "same"),
    [
        (b"/%7Ea", b"/~a", True),
        (b"/%c3%a9", b"/%C3%A9", True),
        (b"/a%2Fb", b"/a/b", False),
        (b"/a%2fb", b"/a%2Fb", True),
    ],
)
def test_a_path_is_compared_as_rfc_3986_says(asked, promised, same):
    """Section 6.2.2: hex digits in any case, and what need not be encoded; a slash that is encoded is no slash."""
    why = why_not_promised(request(asked), request(promised), PAGE)
    assert why is (None if same else Mismatch.TARGET)
