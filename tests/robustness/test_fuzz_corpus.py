"""The kept corpus of the coverage-guided fuzzers, played once: what was found stays found."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.rfc("ROB-31")
@pytest.mark.parametrize("name", ["server", "client", "qpack", "wire", "fields"])
def test_the_kept_corpus(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each input: an event or one of our own errors, nothing else."""
    monkeypatch.syspath_prepend(str(ROOT))
    targets = pytest.importorskip("fuzz.targets").TARGETS
    inputs = sorted((ROOT / "fuzz" / "corpus" / name).iterdir())
    assert len(inputs) >= 20
    for path in inputs:
        try:
            targets[name](path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path.name}: {error!r}") from error


def test_a_fuzzer_can_be_started_by_its_name() -> None:
    """`make fuzz` and the corpus speak of the same targets."""
    sys.path.insert(0, str(ROOT))
    try:
        from fuzz.targets import TARGETS
    finally:
        sys.path.remove(str(ROOT))
    assert set(TARGETS) == {path.name for path in (ROOT / "fuzz" / "corpus").iterdir()}
    assert f"FUZZ_TARGETS ?= {' '.join(TARGETS)}" in (ROOT / "Makefile").read_text()
