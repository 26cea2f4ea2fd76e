"""Patterns that run as automata: in time proportional to the text, whatever the text is."""

from __future__ import annotations

import re2

# Room for the states that texts lead to. Too little, and long patterns fall back to a way ten times as slow.
_MEMORY = 1 << 25


def automaton(pattern: str) -> re2._Regexp:
    """The pattern, blind to case. It costs memory, up to 32 MB for a long one; where that runs out, time."""
    options = re2.Options()
    options.case_sensitive = False
    options.max_mem = _MEMORY
    options.log_errors = False
    return re2.compile(pattern, options)
