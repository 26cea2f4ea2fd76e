"""What the garbage collector leaves out in processes that serve for days.

How often it looks stays as Python has it. Looking a tenth as often made batches 7 % faster, but what a refused body
leaves behind refers to itself in a circle: after two dozen hostile requests the web server was 65 MiB larger, of the 50
that it may be.
"""

from __future__ import annotations

import gc


def settle() -> None:
    """Leaves out all that is loaded by now: it stays anyway, and forks share what nobody writes into."""
    gc.collect()
    gc.freeze()
