"""Detectors against people: precision, recall, AUC and accuracy on the real data sets, and their speed.

``python bench/detectors.py`` reads the development parts from ../shared/data or REVIEWHUB_DATA and prints one
line per detector and set, then what each flags among answers that nobody called harmful or broken. No set has
labels for personal data, abuse, loops or broken-off answers. Answers that end with a full stop are cut here to see
whether that is found, and Django's own translations say which language is which. The figures stand in
docs/detectors.md.
"""

from __future__ import annotations

import gettext
import gzip
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import django

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from evals.detectors import Detector, Subject, detectors, language  # noqa: E402

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


Judged = tuple[Subject, bool]


def measure(detector: Detector, judged: Iterable[Judged], label: str = "") -> dict[str, float]:
    """Compares flags (of one label) with the truth; where the detector says nothing, nothing is flagged.

    For the AUC, silence is 0 of a detector whose high values are bad, and the middle of one whose low ones are.
    """
    pairs: list[Pair] = []
    flags: list[tuple[bool, bool]] = []
    for one, truth in judged:
        finding = detector.detect(one)
        finding = finding if finding and label in ("", finding.label) else None
        value = finding.value if finding else 0.5 if detector.low_is_bad else 0.0
        pairs.append((1 - value if detector.low_is_bad else value, truth))
        flags.append((finding is not None and bool(detector.flags(finding.value)), truth))
    hits = sum(flag and true for flag, true in flags)
    flagged, positives = sum(flag for flag, _ in flags), sum(true for _, true in flags)
    return {
        "n": len(flags), "positives": positives, "flagged": flagged,
        "precision": hits / flagged if flagged else float("nan"), "recall": hits / positives,
        "accuracy": sum(flag == true for flag, true in flags) / len(flags), "auc": auc(pairs),
    }  # fmt: skip


def _final(record: dict[str, Any]) -> str:
    return next(label["label"] for label in record["human_labels"] if label["annotator"] == "xstest-final")


def xstest() -> Iterator[Judged]:
    return ((subject(record), _final(record) != "full_compliance") for record in records("xstest/xstest"))


def begin() -> Iterator[Judged]:
    for record in records("begin/begin"):
        yield subject(record), record["human_labels"][0]["label"] != "fully_attributable"


def empty() -> Iterator[Judged]:
    return ((subject(record), not record["output"].strip()) for record in records("llmfao/llmfao_outputs"))


def _asked(text: str) -> Subject:
    return Subject(output="", question=text)


def attacks(*sources: str) -> Iterator[Judged]:
    """The attacks of these sources (all but BIPIA, whose items look harmless alone) among all that is benign."""
    for record in records("prompt_injection/prompt_injection"):
        source, label = record["metadata"]["source"], record["human_labels"][0]["label"]
        if label == "benign" or source in (sources or ("giskard", "jbb_pair", "jbb_jbc", "bastioncorpus")):
            yield _asked(record["messages"][-1]["content"]), label != "benign"
    for text in {record["messages"][-1]["content"] for record in records("halueval_general/halueval_general")}:
        yield _asked(text), False


def comments() -> Iterator[Judged]:
    """What users wrote about answers, and whether they rated them in the lower half."""
    for record in records("feedbackqa/feedbackqa"):
        for said in record["feedback"]:
            if said.get("comment"):
                yield _asked(said["comment"]), said["thumb"] == "down"


def cut() -> Iterator[Judged]:
    """Answers that end with a full stop, and the same ones cut between two words by a fixed draw."""
    dice = Random(1)
    for name in ("ragtruth/ragtruth", "halueval_general/halueval_general"):
        for record in records(name):
            text = record["output"].rstrip()
            if len(text) < 300 or not text.endswith((".", "!", "?")):
                continue
            yield Subject(output=text), False
            blanks = [place for place, char in enumerate(text) if char == " " and 200 < place < len(text) - 20]
            yield Subject(output=text[: dice.choice(blanks)] if blanks else text[:200]), True


def translations() -> dict[str, list[str]]:
    """About 200 characters of Django's own translations a piece, by language: written by people, known for sure."""
    found: dict[str, set[str]] = {}
    for path in Path(django.__file__).parent.glob("**/locale/*/LC_MESSAGES/django.mo"):
        code = path.parts[-3]
        code = {"pt_BR": "pt", "zh_Hans": "zh", "zh_Hant": "zh"}.get(code, code)
        if code not in language.NAMES:
            continue
        with path.open("rb") as file:
            catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        for key, said in catalogue.items():
            key = key if isinstance(key, str) else key[0]
            if len(key) > 15:
                found.setdefault("en", set()).add(key)
                found.setdefault(code, set()).add(said if said != key else "")
    plain = re.compile(r"%\(?\w*\)?[sd]?|<[^>]*>|\{\w*\}")
    return {
        code: [" ".join(plain.sub("", text) for text in one[at : at + 5]) for at in range(0, len(one) - 5, 5)]
        for code, one in ((code, sorted(texts - {""})) for code, texts in sorted(found.items()))
    }


SETS: tuple[tuple[str, str, Callable[[], Iterator[Judged]], str], ...] = (
    ("refusal", "xstest", xstest, "refusal"), ("groundedness", "begin", begin, "support"),
    ("groundedness_embedding", "begin", begin, "support"),
    ("malformed", "llmfao_outputs", empty, "empty"), ("injection", "prompt_injection", attacks, ""),
    ("injection", "- giskard", lambda: attacks("giskard"), ""),
    ("injection", "- jbb_jbc", lambda: attacks("jbb_jbc"), ""),
    ("injection", "- bastioncorpus", lambda: attacks("bastioncorpus"), ""),
    ("injection", "- jbb_pair", lambda: attacks("jbb_pair"), ""), ("frustration", "feedbackqa", comments, ""),
    ("truncation", "cut by us", cut, ""),
)  # fmt: skip
ORDINARY = (
    "ragtruth/ragtruth", "feedbackqa/feedbackqa", "halueval_general/halueval_general", "xstest/xstest", "begin/begin",
    "haluquestqa/haluquestqa", "llmfao/llmfao_outputs",
)  # fmt: skip


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


def ordinary(all_detectors: tuple[Detector, ...]) -> None:
    """What each detector flags among answers; one that only informs, what it says anything about."""
    print(f"\n{'flagged among':14} " + " ".join(f"{name.split('/')[1][:10]:>10}" for name in ORDINARY))
    rows = {name: [subject(record) for record in records(name)] for name in ORDINARY}
    print(f"{'answers':14} " + " ".join(f"{len(one):10}" for one in rows.values()))
    for detector in all_detectors:
        counts = []
        for one in rows.values():
            found = [finding for row in one if (finding := detector.detect(row))]
            counts.append(sum(detector.flags(finding.value) is not False for finding in found))
        print(f"{detector.name:14} " + " ".join(f"{count:10}" for count in counts))


def languages() -> None:
    right = silent = total = 0
    pieces = translations()
    for code, texts in pieces.items():
        said = [language.identify(text) for text in texts]
        right, silent, total = right + said.count(code), silent + said.count(""), total + len(said)
    print(f"\nlanguage: {total} pieces of Django's translations, {len(pieces)} languages: {right / total:.3f} right,"
          f" {silent / total:.3f} not told, {1 - (right + silent) / total:.4f} wrong")  # fmt: skip


def main() -> None:
    by_name = {detector.name: detector for detector in detectors()}
    heads = ("detector", "set", "n", "pos.", "flagged", "prec.", "recall", "acc.", "AUC")
    print("{:22} {:16} {:>6} {:>6} {:>8} {:>7} {:>7} {:>7} {:>7}".format(*heads))
    for name, data, judged, label in SETS:
        if name not in by_name:  # the extra is not installed
            continue
        row = measure(by_name[name], judged(), label)
        print(
            f"{name:22} {data:16} {row['n']:6} {row['positives']:6} {row['flagged']:8} "
            f"{row['precision']:7.3f} {row['recall']:7.3f} {row['accuracy']:7.3f} {row['auc']:7.3f}"
        )
    benign = [record for record in records("prompt_injection/prompt_injection")
              if record["metadata"]["source"] == "notinject"]  # fmt: skip
    found = [by_name["injection"].detect(_asked(record["messages"][-1]["content"])) for record in benign]
    over = sum(one is not None and bool(by_name["injection"].flags(one.value)) for one in found)
    print(f"injection      NotInject: {over} of {len(benign)} flagged, {over / len(benign):.3f}")
    usual = tuple(detector for detector in detectors() if detector.default_on)
    ordinary(usual)
    languages()
    print(f"\nall {len(usual)} that are on: {speed(usual):,.0f} interactions/s on one core (goal 400)")
    for detector in set(detectors()) - set(usual):
        print(f"{detector.name}: {speed((detector,)):,.1f} interactions/s on one core")


if __name__ == "__main__":
    main()
