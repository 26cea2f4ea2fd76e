"""The keys of the review screen, and what a taxonomy may not take.

The page itself is the keymap: controls name their keys as ``data-key``. This module holds what no control carries
and what failure modes would collide with; a test holds it against the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Where letters of a key that has a meaning of its own would be, the number row is free: failure modes live there.
ROW = tuple("1234567890-=")
ACTIONS = {
    "p": "Pass", "f": "Fail", "u": "Unsure", "s": "How bad is it", "a": "Accept the suggestion", "b": "Blind mode",
    "h": "Start marking", "j": "Next mark", "k": "Previous mark", "c": "Open or close sources",
    "e": "Edit the desired answer", "n": "Write a note", "r": "Any answer must", "d": "Add to golden set",
    "t": "Open the trace", "g": "Labelling guide", "v": "Similar items", "m": "Put off, pass on",
    ".": "Skip", "z": "Undo", "?": "This list", "/": "Search", "enter": "Save and next",
    "space": "Scroll", "escape": "Leave", "delete": "Remove the mark",
    "shift+1": "Harm", "shift+2": "Major", "shift+3": "Minor", "shift+4": "Nit",
    "shift+d": "Light or dark",
}  # fmt: skip


# What a person may move to another key or switch off: single keys that are letters or signs. Digits belong to failure
# modes, and what every page has (search, the list of keys) stays where it is.
MOVABLE = tuple(key for key in ACTIONS if len(key) == 1 and key not in "?/")


def moved(wanted: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The keys that differ from the usual ones, by action, and why some cannot be had, by action.

    ``wanted`` gives each action its key; "" switches it off, and an action that is not named keeps its own.
    """
    keys = {action: wanted.get(action, action).strip().lower() for action in MOVABLE}
    faults: dict[str, str] = {}
    for action, key in keys.items():
        other = next((one for one, its in keys.items() if its == key and one != action), None)
        if not key:
            continue
        if len(key) > 1 or not key.isprintable():
            faults[action] = "One letter or sign, or nothing."
        elif key in ROW or key.isdigit():
            faults[action] = f"The key {key} belongs to failure modes."
        elif key in ACTIONS and key not in MOVABLE:
            faults[action] = f"The key {key} means “{ACTIONS[key]}” everywhere."
        elif other is not None:
            faults[action] = f"The key {key} is “{ACTIONS[other]}” too."
    return {action: key for action, key in keys.items() if key != action}, faults


def meanings(keys: Mapping[str, str]) -> dict[str, str]:
    """What each key means to somebody with these keys, where it differs: pressed to meant, "" for nothing."""
    return dict.fromkeys(keys, "") | {key: action for action, key in keys.items() if key}


def conflicts(digits: Iterable[str]) -> list[str]:
    """Why these keys cannot all be keys of failure modes, one sentence each; empty where they can. "" is no key."""
    found, seen = [], set()
    for digit in digits:
        if not digit:
            continue
        if digit in seen:
            found.append(f"The key {digit} is used twice.")
        elif digit.lower() in ACTIONS:
            found.append(f"The key {digit} means “{ACTIONS[digit.lower()]}” already.")
        elif digit not in ROW:
            found.append(f"The key {digit} is not on the number row (1 to 9, 0, - and =).")
        seen.add(digit)
    return found
