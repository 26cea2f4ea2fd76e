"""How many ms pass from the key that saves to the next item on the screen, a hundred times in a row in Chromium.

``.venv/bin/python bench/swap.py``

It runs the browser test that holds every answer of the server back until the next item stands there, so what is
measured is the page alone: nothing of it depends on the network. A machine that does something else shows it here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

TEST = "tests/browser/test_speed.py::test_a_hundred_items_in_a_row_swap_from_memory"
MEDIAN, P95 = 100, 250  # ms


def main() -> None:
    """Prints both figures and whether they meet the design's; exits with 1 where they do not."""
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", TEST, f"--junitxml={report}"]
        subprocess.run(command, cwd=root, check=True)
        found = re.search(r"'median': ([\d.]+), 'p95': ([\d.]+)", report.read_text().replace("&#x27;", "'"))
    if found is None:
        raise SystemExit("The test was skipped: is there a Chromium on this machine?")
    median, p95 = map(float, found.groups())
    print(f"median {median:.1f} ms (under {MEDIAN}), 95 of 100 within {p95:.1f} ms (under {P95})")
    if median >= MEDIAN or p95 >= P95:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
