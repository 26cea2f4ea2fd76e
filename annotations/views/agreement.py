"""How far reviewers agree, by question, failure mode and pair; and the items that a figure is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import BadRequest
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from annotations import adjudication, agreement_report, shared_items
from annotations.agreement import RELIABLE, TENTATIVE, Agreement
from annotations.agreement_report import Report
from annotations.models import Annotation, Queue, Task, Verdict
from annotations.shared_items import RESPECTS, Narrowed, Shared
from feedback.models import Interaction, Score
from projects import charts
from projects.access import ProjectRequest, Right, project_view
from projects.models import User

PERIODS = {"7d": (7, "7 days"), "30d": (30, "30 days"), "90d": (90, "90 days"), "all": (None, "All")}
PAGE, TO_RESOLVE = 50, 5
PAIR = re.compile(r"(\d{1,18})-(\d{1,18})", re.ASCII)
LOW = 0.6  # of a pair: worth a calibration


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure in a matrix: how deep its colour is, whether it stands out, and the list that it leads to."""

    text: str
    title: str = ""
    heat: str = ""
    off: bool = False
    query: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address narrows the page to; ``rest`` is that as a query for links."""

    queue: Queue | None
    period: str

    @property
    def rest(self) -> str:
        return urlencode({"period": self.period, **({"queue": self.queue.slug} if self.queue else {})})

    def shared(self, request: ProjectRequest) -> Shared:
        """The shared items of the queue and period."""
        days = PERIODS[self.period][0]
        since = timezone.now() - timedelta(days=days) if days else None
        return shared_items.load(request.project, queue=self.queue, since=since)


def asked_of(request: ProjectRequest) -> Asked:
    """The queue (404 if there is none of this name) and the period, 30 days unless said otherwise."""
    period, slug = request.GET.get("period", ""), request.GET.get("queue", "")
    queue = get_object_or_404(request.project.queues, slug=slug) if slug else None
    return Asked(queue, period if period in PERIODS else "30d")


@require_GET
@project_view(Right.LEAD)
def agreement_page(request: ProjectRequest) -> HttpResponse:
    """``?queue=`` and ``?period=7d|30d|90d|all``."""
    asked = asked_of(request)
    found = agreement_report.report(asked.shared(request))
    waiting = adjudication.disputes(request.project)
    context = {
        "section": "agreement",
        **frame_of(request, asked),
        "report": found,
        "scale": _scale(found.verdict.alpha),
        "matrix": _matrix(found),
        "verdicts": _verdicts(found),
        "modes": [(mode, _interval(mode.alpha)) for mode in found.modes],
        "lowest": found.told[0] if found.told else None,
        "disputed": waiting.count(),
        "rows": _to_resolve(list(waiting[:TO_RESOLVE])),
    }
    return render(request, "annotations/agreement.html", context)


def frame_of(request: ProjectRequest, asked: Asked) -> dict[str, Any]:
    """What the head of both pages needs."""
    return {
        "asked": asked,
        "queues": request.project.queues.all(),
        "periods": [(name, words) for name, (_, words) in PERIODS.items()],
    }


def _scale(alpha: Agreement) -> SafeString:
    if not alpha.enough or alpha.value is None or alpha.low is None or alpha.high is None:
        return charts.NOTHING
    said = (
        f"Krippendorff’s alpha {alpha.value:.2f}, 95 percent interval {alpha.low:.2f} to {alpha.high:.2f}. "
        f"Tentative from {TENTATIVE:.2f}, reliable from {RELIABLE:.2f}."
    )
    return charts.reading_scale(
        alpha.value, alpha.low, alpha.high, bounds=(TENTATIVE, RELIABLE), words=("do not use", "tentative", "reliable"),
        label=said,
    )  # fmt: skip


def _interval(found: Agreement) -> SafeString:
    if found.value is None or found.low is None or found.high is None:
        return charts.NOTHING
    kind = "" if found.value >= TENTATIVE else "warn"
    return charts.interval_row(found.value, found.low, found.high, scale=(0, 1), kind=kind, line=TENTATIVE)


def _matrix(found: Report) -> list[tuple[User, list[Cell | None]]]:
    """κ by pair; None on the diagonal."""
    pairs = {frozenset([pair.one.pk, pair.other.pk]): pair for pair in found.pairs}
    rows: list[tuple[User, list[Cell | None]]] = []
    for one in found.people:
        cells: list[Cell | None] = []
        for other in found.people:
            pair = pairs.get(frozenset([one.pk, other.pk]))
            if one == other:
                cells.append(None)
            elif pair is None:
                cells.append(Cell("", f"{one} and {other} share no item"))
            else:
                cells.append(_of_pair(pair, one_sided=found.verdict.one_sided))
        rows.append((one, cells))
    return rows


def _of_pair(pair: agreement_report.Pair, *, one_sided: bool) -> Cell:
    kappa, query = pair.kappa, urlencode({"pair": f"{pair.one.pk}-{pair.other.pk}"})
    same = f"the same verdict on {pair.same} of {pair.shared}"
    if not kappa.enough or kappa.value is None:
        few = "too few to tell" if kappa.n < agreement_report.FEW else "always one verdict"
        return Cell(f"n {pair.shared}", f"{pair.one} and {pair.other}: {few}, {same}", query=query)
    within = f" ({kappa.low:.2f} to {kappa.high:.2f})" if kappa.low is not None and kappa.high is not None else ""
    title = f"{pair.one} and {pair.other}: κ {kappa.value:.2f}{within}, {same}"
    steps = [(RELIABLE, "h4"), (TENTATIVE, "h3"), (LOW, "h2")]
    heat = next((name for least, name in steps if kappa.value >= least), "h1")
    text = f"{kappa.value:.2f}".replace("-", "−")
    return Cell(text, title, heat, off=kappa.value < LOW and not one_sided, query=query)


def _verdicts(found: Report) -> list[tuple[str, list[Cell]]]:
    """Items by first and second verdict."""
    rows = []
    for first, name in Verdict.choices:
        cells = []
        for second in Verdict.values:
            count = found.table[first, second]
            share = count / found.n if found.n else 0.0
            heat = "h4" if share >= 0.4 else "h3" if share >= 0.25 else "h2" if share >= 0.1 else "h1" if share else ""
            off = bool(count) and {first, second} == {Verdict.PASS, Verdict.FAIL}
            query = urlencode({"first": first, "second": second}) if count else ""
            cells.append(Cell(f"{count:,}", "", heat, off, query))
        rows.append((str(name), cells))
    return rows


def _to_resolve(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """The oldest differences, each with its votes and the newest word of a judge."""
    votes = Annotation.objects.filter(task__in=tasks, state=Annotation.State.COUNTED).select_related("reviewer")
    by_task: dict[int, list[Annotation]] = {}
    for vote in votes.order_by("pk"):
        by_task.setdefault(vote.task_id, []).append(vote)
    judged = Score.objects.filter(
        interaction__in=[task.interaction_id for task in tasks], source=Score.Source.JUDGE, value__isnull=False
    )
    scores = {score.interaction_id: score for score in judged.order_by("pk")}
    return [
        {"task": task, "votes": by_task.get(task.pk, []), "score": scores.get(task.interaction_id)} for task in tasks
    ]


@require_GET
@project_view(Right.LEAD)
def agreement_items(request: ProjectRequest) -> HttpResponse:
    """The shared items that a figure is about: ``?pair=``, ``first``, ``second``, ``mode``, ``differ``."""
    asked, which = asked_of(request), _narrowed(request)
    shared = asked.shared(request)
    page = Paginator(shared_items.narrowed(shared.items, which), PAGE).get_page(request.GET.get("page"))
    texts = Interaction.objects.in_bulk([item.interaction for item in page])
    tasks = [vote.task for item in page for vote in item.votes]
    open_to = set(adjudication.disputes(request.project).filter(pk__in=tasks).values_list("pk", flat=True))
    rows = [
        {
            "interaction": texts.get(item.interaction),
            "votes": [(shared.people[vote.reviewer], vote, shared.modes.get(vote.main, "")) for vote in item.votes],
            "differs": [RESPECTS[name] for name in item.differs_in],
            "dispute": next((vote.task for vote in item.votes if vote.task in open_to), None),
            "newest": max(vote.created_at for vote in item.votes),
        }
        for item in page
    ]
    context = {"section": "agreement", **frame_of(request, asked), "page": page, "rows": rows, "shared": shared}
    return render(request, "annotations/agreement_items.html", {**context, **_said(which, shared)})


def _narrowed(request: ProjectRequest) -> Narrowed:
    """From the address; 400 where a part of it cannot be."""
    text = request.GET.get("pair", "")
    pair = PAIR.fullmatch(text)
    first, second = request.GET.get("first", ""), request.GET.get("second", "")
    differ = request.GET.get("differ", "")
    known = {first, second} <= {"", *Verdict.values} and differ in {"", *RESPECTS}
    if (text and not pair) or not known:
        raise BadRequest("This is not a list of items")
    return Narrowed(
        pair=(int(pair[1]), int(pair[2])) if pair else None, first=first, second=second,
        mode=request.GET.get("mode", "")[:60], differ=differ,
    )  # fmt: skip


def _said(which: Narrowed, shared: Shared) -> dict[str, Any]:
    """The narrowing in words, and as a query with and without the condition that they differ."""
    people = [str(shared.people.get(pk, "somebody")) for pk in which.pair or ()]
    parts = [f"both {' and '.join(people)} labelled"] if people else []
    if which.mode:
        parts.append(f"somebody names {shared.modes.get(which.mode, which.mode)}")
    if which.first or which.second:
        parts.append(f"first {which.first or 'any'}, second {which.second or 'any'}")
    if which.differ:
        parts.append("not all name it" if which.mode else f"they differ in {RESPECTS[which.differ].lower()}")
    pair = f"{which.pair[0]}-{which.pair[1]}" if which.pair else ""
    fields = {"pair": pair, "first": which.first, "second": which.second, "mode": which.mode}
    every = urlencode({name: value for name, value in fields.items() if value})
    return {"which": which, "words": ", ".join(parts) or "all shared items", "every": every}
