"""A connection gets each thing once."""

from h3push.policy.ledger import ConnectionLedger


def test_what_was_given_is_not_pushed_again():
    ledger = ConnectionLedger()
    assert ledger.may_push("/a")
    ledger.record("/a")
    assert not ledger.may_push("/a")
    assert "/a" in ledger
    assert list(ledger) == ["/a"]


def test_a_full_ledger_takes_no_further_push():
    ledger = ConnectionLedger(max_paths=1)
    ledger.record("/a")
    ledger.record("/b")
    assert ledger.is_full
    assert len(ledger) == 1
    assert not ledger.may_push("/b")
