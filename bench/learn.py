"""What `h3push learn` costs: time and peak memory for made-up page views, ten million rows by default.

    python bench/learn.py                     10,000,000 rows
    python bench/learn.py --rows 100000       fewer

The rows are the same every time: 50 sections of a site with a thousand pages each, nine resources with each page out of twelve
that the section has. They are written to a file first, which takes longer than to learn from them and is not counted.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROW = (
    '{"time":"2026-11-%02dT18:35:19.123Z","client":"203.0.113.7:50412","method":"GET","path":"%s","protocol":"HTTP/3",'
    '"status":200,"bytes":%d,"duration_ms":%.3f,"outcome":"complete","push_id":null,"initiator":null,"user_agent":"Mozilla",'
    '"connection":"3f2a9c01-%d","view":%d,"page":"%s","position":%d,"since_page_ms":%.3f,"think_ms":20.125,"warm":%s,'
    '"rtt_ms":%s,"window":%s,"conditional":false,"arm":null,"pushes_used":null,"pushes_unused":null}\n'
)
MEMBERS = 9


def write_rows(path: Path, rows: int) -> None:
    """Write page views of ten rows each."""
    chance = random.Random(7)
    views = rows // (MEMBERS + 1)
    with path.open("w", encoding="ascii") as file:
        for number in range(views):
            day, section = 1 + number * 28 // views, chance.randrange(50)
            page, connection, view = f"/p{section}/{number % 1000}", number // 3, number % 3 + 1
            warm = "true" if view > 1 else "false"
            file.write(ROW % (day, page, 2000, 30.0, connection, view, page, 0, 0.0, warm, "80.125", "14720"))
            for position in range(1, MEMBERS + 1):
                asset = f"/static/{section}-{chance.randrange(12)}.css"
                values = (day, asset, 900 + position, 10.5, connection, view, page, position, 30.0 + position)
                file.write(ROW % (*values, "null", "null", "null"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "access.jsonl"
        write_rows(log, arguments.rows)
        command = [
            sys.executable,
            "-c",
            "import h3push.cli; h3push.cli.main()",
            "learn",
            str(log),
            "-o",
            str(Path(place) / "plan.json"),
        ]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{arguments.rows:,} rows: {took:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of CPU,"
        f" {used.ru_maxrss / 1024:.0f} MiB at most"
    )


if __name__ == "__main__":
    main()
