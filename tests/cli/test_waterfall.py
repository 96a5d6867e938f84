"""Rows of numbers and bars."""

from h3push.cli.output.waterfall import ARRIVING, BAR_WIDTH, WAITING, Row, can_encode, waterfall


def row(path, started, first_byte, ended, *, pushed=False):
    return Row(path=path, pushed=pushed, body_bytes=1234, started=started, first_byte=first_byte, ended=ended)


def test_a_row_tells_what_and_when():
    lines = waterfall([row("/", 10.0, 10.05, 10.1), row("/a.css", 10.025, 10.05, 10.1, pushed=True)], 10.0)
    assert lines[0].split() == ["response", "bytes", "begin", "end"]
    assert lines[1].split()[:7] == ["GET", "/", "1,234", "0.0", "ms", "100.0", "ms"]
    assert lines[2].split()[:7] == ["push", "/a.css", "1,234", "25.0", "ms", "100.0", "ms"]
    assert lines[1].endswith("  " + WAITING * (BAR_WIDTH // 2) + ARRIVING * (BAR_WIDTH // 2))
    assert lines[2].endswith("  " + " " * (BAR_WIDTH // 4) + WAITING * (BAR_WIDTH // 4) + ARRIVING * (BAR_WIDTH // 2))


def test_every_response_has_a_mark_and_no_bar_is_too_long():
    lines = waterfall([row("/", 0, 0, 0), row("/b", 1, 1, 1), row("/c", 0, 1, 1)])
    assert all(line.count(ARRIVING) == 1 for line in lines[1:])
    assert len({len(line.rstrip()) for line in lines[2:]}) == 1
    assert waterfall([row("/", 0, 0, 0)])[1].count(ARRIVING) == 1
    assert len(waterfall([])) == 1


def test_bars_are_plain_where_the_terminal_has_no_such_characters():
    assert can_encode("utf-8")
    assert not can_encode("ascii")
    assert not can_encode("no-such-encoding")
    assert not can_encode(None)
