"""Examples for a judge's prompt, drawn from people's settled labels: of the train part alone, and the same every time.

What is drawn is copied into the version and never changes. So a label that is corrected later, or a split that is cut
otherwise one day, cannot change what a version was told; and ``calibration.pairs`` keeps the sessions and the answers
that a version was told out of everything that it is measured on.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Any

from annotations.models import Label
from evals.calibration import TRAIN, part_of
from feedback.models import Interaction, text_of
from projects.models import Project

MOST = 8
# Characters of each example.
QUESTION, ANSWER, DOCUMENTS, WHY = 1_000, 2_000, 2_000, 500
# Labels that are looked at, the newest.
READ = 20_000

Example = dict[str, Any]


def choose(project: Project, wanted: int) -> list[Example]:
    """At most ``wanted`` examples, as many fails as passes, in turns; fewer where either is short.

    One for each session, and of answers that no label of the dev or test part has word for word. Fails are taken from
    as many failure modes as there are; within them, and among passes, the hash of the id decides.
    """
    if wanted < 2:
        return []
    labels = Label.objects.filter(
        project=project, superseded_at=None, verdict__in=["pass", "fail"], interaction__status=Interaction.Status.OK
    ).exclude(interaction__output="")
    rows = labels.order_by("-pk").values_list(
        "pk", "verdict", "primary_category", "interaction__session_id", "interaction__external_id",
        "interaction__output",
    )[:READ]  # fmt: skip
    apart: set[str] = set()
    candidates: list[tuple[str, str, str, int | None, int, str]] = []
    for pk, verdict, mode, session, external, output in rows:
        digest = digest_of(output)
        if part_of(session, external) == TRAIN:
            candidates.append((_place(external), session or external, verdict, mode, pk, digest))
        else:
            apart.add(digest)
    chosen: dict[str, list[int]] = {"fail": [], "pass": []}
    seen: set[str] = set(apart)
    for _, group, verdict, _, pk, digest in _in_order(candidates):
        if not {group, digest} & seen:
            seen |= {group, digest}
            chosen[verdict].append(pk)
    each = min(wanted // 2, *(len(found) for found in chosen.values()))
    order = list(chain.from_iterable(zip(chosen["fail"][:each], chosen["pass"][:each], strict=True)))
    found = Label.objects.select_related("interaction").in_bulk(order)
    return [_copied(found[pk]) for pk in order]


def _in_order(
    candidates: Iterable[tuple[str, str, str, int | None, int, str]],
) -> list[tuple[str, str, str, int | None, int, str]]:
    """By hash, but the first of each failure mode before the second of any."""
    nth: Counter[tuple[str, int | None]] = Counter()
    ranked = []
    for one in sorted(candidates):
        ranked.append((nth[one[2], one[3]] if one[2] == "fail" else 0, one))
        nth[one[2], one[3]] += 1
    return [one for _, one in sorted(ranked, key=lambda entry: (entry[0], entry[1][0]))]


def _place(external_id: str) -> str:
    return hashlib.sha256(f"few-shot\0{external_id}".encode()).hexdigest()


def digest_of(output: str) -> str:
    """What two answers have in common that are the same word for word; PostgreSQL's MD5 of the text."""
    return hashlib.md5(output.encode(), usedforsecurity=False).hexdigest()


def _copied(label: Label) -> Example:
    item = label.interaction
    left, documents = DOCUMENTS, []
    for one in item.documents:
        if left > 0:
            text = text_of(one.get("content"))[:left]
            documents.append([str(one.get("title") or one.get("id") or "")[:200], text])
            left -= len(text)
    return {
        "interaction_id": item.external_id, "label": label.pk, "group": item.session_id or item.external_id,
        "digest": digest_of(item.output), "verdict": label.verdict, "why": label.note[:WHY],
        "question": item.question[:QUESTION], "answer": item.output[:ANSWER], "documents": documents,
    }  # fmt: skip
