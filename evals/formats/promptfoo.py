"""promptfoo: a configuration with one test an example (https://www.promptfoo.dev/docs/configuration/reference/).

Only ``providers`` is missing, which ``promptfoo eval -c FILE -r PROVIDER`` gives. Each test is JSON, which YAML reads
as it is. The checks are those that Review Hub derives itself, as far as promptfoo has them.

promptfoo runs templates inside variables and opens files that they name. What users wrote must do neither: their
braces and such beginnings are defused, so that the model is asked exactly what was asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from reviewhub_client import checks

from evals import lines
from evals.formats import Format, chat, pieces
from evals.source import Source

# What YAML forbids or takes for the end of a line, although JSON does not.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_TEMPLATE = re.compile(r"\{(?=[{%#])|#(?=\})")  # what opens a tag, and the end of a comment, which alone is a fault
_OPENED = re.compile(r"^(?=(?:file|python|exec|https?)://|package:)")

# The F1 of the words, as in reviewhub_client.checks.similarity.
_SIMILAR = """
const words = (text) => (text.normalize('NFKC').toLowerCase().match(/[\\p{L}\\p{N}_]+/gu) || []);
const mine = words(String(output)), theirs = words(context.test.metadata.desired), left = new Map();
for (const word of theirs) left.set(word, (left.get(word) || 0) + 1);
let shared = 0;
for (const word of mine) if (left.get(word) > 0) { shared += 1; left.set(word, left.get(word) - 1); }
const score = mine.length + theirs.length ? 2 * shared / (mine.length + theirs.length) : 1;
return { pass: score >= 0.5, score, reason: `word overlap with the desired answer: F1 ${score.toFixed(2)}` };
"""
# Any figure of the answer is the desired one, to within a billionth.
_NUMERIC = """
const figures = (text) => (String(text).replace(/(\\d)[,'\\u00a0\\u202f ](?=\\d{3})/g, '$1').replace(/\\u2212/g, '-')
  .match(/[-+]?\\d+(?:\\.\\d+)?(?:[eE][-+]?\\d+)?/g) || []).map(Number);
const [wanted] = figures(context.test.metadata.desired);
const pass = figures(output).some((found) => Math.abs(found - wanted) <= 1e-9 * Math.max(1, Math.abs(wanted)));
return { pass, score: pass ? 1 : 0, reason: `the answer ${pass ? 'has' : 'lacks'} the figure ${wanted}` };
"""


def defused(text: str) -> str:
    """A text that promptfoo renders to itself: no template in it runs, no file it names is read."""
    return _OPENED.sub("{{ '' }}", _TEMPLATE.sub(r"{{ '\g<0>' }}", text))


def _in_json(value: Any) -> str:
    """A value as JSON text that promptfoo renders to itself; ``\\u007b`` is a brace that no template sees."""
    return _TEMPLATE.sub(lambda match: f"\\u{ord(match.group()):04x}", lines.compact(value).decode())


def test(row: dict[str, Any]) -> dict[str, Any]:
    """One test."""
    said, desired = chat.label(row), chat.desired(row)
    return {
        "description": row["key"],
        "vars": {
            "messages": _in_json(chat.openai(row)), "question": defused(chat.question(row)),
            "context": defused("\n\n".join(chat.contents(row))),
        },
        "assert": [found for check in checks.derive(row) if (found := _assertion(check, row))],
        "metadata": {
            "id": row["key"], "split": row["split"], "category": said.get("category") or "",
            "verdict": said.get("verdict") or "", "tags": row["tags"],
            "desired": desired,  # here and not among the variables: nothing is rendered here
        },
    }  # fmt: skip


def _assertion(check: dict[str, Any], row: dict[str, Any]) -> dict[str, Any] | None:
    match check["type"]:
        case "must" | "contains":
            return {"type": "icontains", "value": defused(check["text"]), "metric": "must"}
        case "must_not" | "not_contains":
            return {"type": "not-icontains", "value": defused(check["text"]), "metric": "must not"}
        case "differs":
            return {"type": "not-equals", "value": defused(check["text"]), "metric": "not the rejected answer"}
        case "json_schema":
            return {"type": "is-json", "value": check["schema"], "metric": "schema"}
        case "refuses":
            return {"type": "is-refusal", "metric": "refusal"}
        case "numeric":
            return {"type": "javascript", "value": _NUMERIC, "metric": "figure"}
        case "similar":
            return {"type": "javascript", "value": _SIMILAR, "metric": "similar"}
        case "not_empty":
            return {"type": "javascript", "value": "String(output).trim() !== ''", "metric": "not empty"}
        case _:
            return None


def yaml_safe(text: str) -> str:
    """JSON that every YAML parser reads as the same value."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _lines(source: Source) -> Iterator[bytes]:
    version = source.version
    name = f"{version.dataset.slug}@{version.number}"
    yield (
        f"# {name} of Review Hub, sha256 {version.checksum}\n# Run: promptfoo eval -c THIS -r PROVIDER\n"
        f"description: {json.dumps(name)}\nprompts:\n  - '{{{{messages}}}}'\ntests:\n"
    ).encode()
    empty = True
    for row in source.rows():
        empty = False
        yield f"  - {yaml_safe(lines.compact(test(row)).decode())}\n".encode()
    if empty:
        yield b"  []\n"


def write(source: Source) -> Iterator[bytes]:
    """The file in pieces."""
    return pieces(_lines(source))


FORMAT = Format(
    slug="promptfoo",
    label="promptfoo tests",
    note="With the checks of each example",
    suffix=".promptfoo.yaml",
    media_type="application/yaml",
    write=write,
    position=12,
)
