"""pytest: the examples and a test module that holds each against an answer; ``-k CATEGORY`` picks some.

It needs ``reviewhub-client``, which judges with the same module as the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from evals.formats import Format, Writer
from evals.formats.jsonl import native_jsonl
from evals.source import Source

MODULE = '''"""Each golden example as a test. Needs pytest and reviewhub-client.

    REVIEWHUB_TARGET=my_app.chat:answer pytest test_golden.py -k made-up-fee --junit-xml=report.xml

The target is a function that takes an example (a line of golden.jsonl) and returns the answer as a text.
"""

import importlib
import json
import os
from pathlib import Path

import pytest

from reviewhub_client.checks import judge

LINES = (Path(__file__).parent / "golden.jsonl").read_text(encoding="utf-8").split("\\n")
EXAMPLES = [json.loads(line) for line in LINES[1:] if line]


def name(example):
    label = example["expected"].get("label") or {}
    return f"{example['id']}-{label.get('category') or 'none'}-{example['split']}"


@pytest.fixture(scope="session")
def answer():
    """The function under test. Override this fixture, or name a function in REVIEWHUB_TARGET."""
    module, _, function = os.environ.get("REVIEWHUB_TARGET", "").partition(":")
    if not function:
        pytest.fail("Set REVIEWHUB_TARGET to module:function, which takes an example and returns the answer.")
    return getattr(importlib.import_module(module), function)


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_golden(example, answer):
    output = answer(example)
    said = judge(example, output)
    assert said.passed, "\\n".join(f"{f.name}: {f.detail}" for f in said.findings if not f.passed) + f"\\n\\n{output}"
'''


def _module(source: Source) -> Iterator[bytes]:
    yield MODULE.encode()


def members(source: Source) -> Iterable[tuple[str, Writer]]:
    """The two files."""
    return [("test_golden.py", _module), ("golden.jsonl", native_jsonl)]


FORMAT = Format(
    slug="pytest",
    label="pytest",
    note="Each example a test",
    suffix=".pytest.zip",
    media_type="application/zip",
    members=members,
    position=17,
)
