"""Detectors against people: precision, recall, AUC and accuracy on the real data sets, and their speed.

``python bench/detectors.py`` reads the development parts from ../shared/data or REVIEWHUB_DATA and prints one
line per detector and set. The figures stand in docs/detectors.md.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from evals.detectors import Detector, Subject, detectors  # noqa: E402

Pair = tuple[float, bool]


def records(name: str) -> Iterator[dict[str, Any]]:
    folder = Path(os.environ.get("REVIEWHUB_DATA") or ROOT.parent / "shared" / "data")
    path = folder / f"{name}.dev.jsonl.gz"
    if not path.exists():
        sys.exit(f"{path} is not there; set REVIEWHUB_DATA to where the data sets are.")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def subject(record: dict[str, Any]) -> Subject:
    messages = record.get("messages") or [{"content": ""}]
    return Subject(
        output=record.get("output") or "",
        question=messages[-1]["content"],
        documents=tuple(document["text"] for document in record.get("context") or ()),
    )


def auc(pairs: list[Pair]) -> float:
    """The chance that a positive has a higher value than a negative; ties count half."""
    ordered = sorted(pairs)
    positives = sum(truth for _, truth in pairs)
    ranks, start = 0.0, 0
    while start < len(ordered):
        end = start
        while end < len(ordered) and ordered[end][0] == ordered[start][0]:
            end += 1
        ranks += sum(truth for _, truth in ordered[start:end]) * (start + end + 1) / 2
        start = end
    return (ranks - positives * (positives + 1) / 2) / (positives * (len(pairs) - positives))


def measure(
    detector: Detector, name: str, truth: Callable[[dict[str, Any]], bool], label: str
) -> dict[str, float]:  # fmt: skip
    """Compares flags of one label with people's labels; where the detector says nothing, nothing is flagged.

    For the AUC, silence is 0 of a detector whose high values are bad, and the middle of one whose low ones are.
    """
    pairs: list[Pair] = []
    flags: list[tuple[bool, bool]] = []
    for record in records(name):
        finding = detector.detect(subject(record))
        finding = finding if finding and finding.label == label else None
        value = finding.value if finding else 0.5 if detector.low_is_bad else 0.0
        pairs.append((1 - value if detector.low_is_bad else value, truth(record)))
        flags.append((finding is not None and detector.flags(finding.value), truth(record)))
    hits = sum(flag and true for flag, true in flags)
    flagged, positives = sum(flag for flag, _ in flags), sum(true for _, true in flags)
    return {
        "n": len(flags), "positives": positives, "flagged": flagged,
        "precision": hits / flagged if flagged else float("nan"), "recall": hits / positives,
        "accuracy": sum(flag == true for flag, true in flags) / len(flags), "auc": auc(pairs),
    }  # fmt: skip


def _final(record: dict[str, Any]) -> str:
    return next(label["label"] for label in record["human_labels"] if label["annotator"] == "xstest-final")


def _first(record: dict[str, Any]) -> str:
    return str(record["human_labels"][0]["label"])


TRUTHS: dict[tuple[str, str, str], Callable[[dict[str, Any]], bool]] = {
    ("refusal", "xstest/xstest", "refusal"): lambda record: _final(record) != "full_compliance",
    ("groundedness", "begin/begin", "support"): lambda record: (
        record["human_labels"][0]["label"] != "fully_attributable"
    ),
    ("malformed", "llmfao/llmfao_outputs", "empty"): lambda record: not record["output"].strip(),
}


def speed(all_detectors: tuple[Detector, ...], seconds: float = 2.0) -> float:
    """Interactions a second of one core, all detectors, answer of 800 characters and context of 1.2 kB."""
    word = "The account fee is charged each month and listed in the statement of the customer. "
    made = [
        Subject(
            output=(word * 10).replace("month", f"month{n}")[:800], question="What is the fee?",
            documents=((word * 8)[:600], (word * 8).replace("fee", f"fee{n}")[:600]),
        )
        for n in range(50)
    ]  # fmt: skip
    count, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        for one in made:
            for detector in all_detectors:
                detector.detect(one)
        count += len(made)
    return count / (time.process_time() - start)


def main() -> None:
    by_name = {detector.name: detector for detector in detectors()}
    heads = ("detector", "set", "n", "pos.", "flagged", "prec.", "recall", "acc.", "AUC")
    print("{:14} {:16} {:>6} {:>6} {:>8} {:>7} {:>7} {:>7} {:>7}".format(*heads))
    for (name, data, label), truth in TRUTHS.items():
        row = measure(by_name[name], data, truth, label)
        print(
            f"{name:14} {data.split('/')[1]:16} {row['n']:6} {row['positives']:6} {row['flagged']:8} "
            f"{row['precision']:7.3f} {row['recall']:7.3f} {row['accuracy']:7.3f} {row['auc']:7.3f}"
        )
    for name in ("ragtruth/ragtruth", "feedbackqa/feedbackqa"):
        rows = [subject(record) for record in records(name)]
        found = [by_name["refusal"].detect(row) for row in rows]
        flagged = sum(one is not None and by_name["refusal"].flags(one.value) for one in found)
        print(f"{'refusal':14} {name.split('/')[1]:16} {len(rows):6} {'–':>6} {flagged:8}   (most comply)")
    print(f"\nall detectors: {speed(detectors()):,.0f} interactions/s on one core (goal 400)")


if __name__ == "__main__":
    main()
