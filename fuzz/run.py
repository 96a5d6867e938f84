"""Run one fuzzer: `python -m fuzz.run TARGET [libFuzzer options] CORPUS...`; without time or runs it goes on for ever.

`python -m fuzz.run --seeds` writes what the corpus begins with: transcripts of decent peers, from the generator of the tests.
`python -m fuzz.run --replay` plays the kept corpus once, without the fuzzer.
"""

import sys
from pathlib import Path
from random import Random

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
sys.path.insert(0, str(HERE.parent / "tests"))


def seeds() -> None:
    """Write the first corpus."""
    from fuzz.targets import DATA, DATA_AND_END, DISTURB, TARGETS, UNIDIRECTIONAL, script
    from robustness.hostile import garbage, transcript

    for name in TARGETS:
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
    for number in range(24):
        random = Random(f"seed {number}")
        for role in ("server", "client"):
            operations, unidirectional, requests = [], 0, 0
            for piece in transcript(random, role == "server"):
                if piece.kind == "request":
                    operations.append((DATA_AND_END if piece.fin else DATA, requests, piece.sent))
                    requests += 1
                else:
                    operations.append((UNIDIRECTIONAL, unidirectional, piece.sent))
                    unidirectional += 1
                operations.append((DISTURB, random.randrange(12), bytes([random.randrange(64)])))
            (CORPUS / role / f"seed-{number:02}").write_bytes(script(*operations))
        (CORPUS / "wire" / f"seed-{number:02}").write_bytes(bytes([number, 3]) + garbage(random))
        encoder = b"\x3f\xbd\x01" + b"\x42nm\x03val" * (number % 4)
        sections = (b"\x02\x00\x80", b"\x00\x00\xc1", b"\x03\x81\x10", b"\x00\x00\x21a\x01b")
        operations = [(1, 0, encoder), (0, 4, sections[number % 4]), (2, 8, b"value"), (3, 4, b"")]
        (CORPUS / "qpack" / f"seed-{number:02}").write_bytes(script(*operations[number % 3 :]))
        lines = (b":status\xfe200", b"x\xfey", b"content-length\xfe5", b":method\xfeGET", b"te\xfetrailers")
        (CORPUS / "fields" / f"seed-{number:02}").write_bytes(b"\xff".join(lines[number % 5 :]) + b"\xff")


def replay() -> int:
    """Play the kept corpus; how many inputs."""
    from fuzz.targets import TARGETS

    played = 0
    for name, target in TARGETS.items():
        for path in sorted((CORPUS / name).iterdir()):
            target(path.read_bytes())
            played += 1
    return played


def fuzz(name: str, options: list[str]) -> None:
    """Hand a target to the fuzzer."""
    import atheris

    with atheris.instrument_imports(include=["h3push"]):
        from fuzz.targets import TARGETS
    atheris.Setup([f"fuzz {name}", *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1] == "--seeds":
        seeds()
    elif sys.argv[1] == "--replay":
        print(f"{replay()} inputs of the corpus: nothing but our own errors")
    else:
        fuzz(sys.argv[1], sys.argv[2:])
