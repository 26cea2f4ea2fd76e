"""Folds new facts into metric buckets: the stage MEASURE of the inbox.

Runs in the transaction that takes the facts from the inbox, so each is counted exactly once. What counts for a
vote or a verdict is a function of the *set* of facts read so far, never of their order: of several thumbs of one
user on one answer, or several verdicts of one detector, the strongest that has been read counts, and a batch
adds the difference between before and after. So any split and order of batches gives the same buckets.

A batch costs a fixed number of statements, whatever is in it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.db import connection

from annotations.models import Label, Verdict
from feedback.models import Feedback, Inbox, Interaction, Score
from monitoring.sketch import Sketch

FINE, COARSE = 300, 3600
# Five-minute buckets serve alerts and the last day. What arrives later than this after it happened (an import of
# history) goes into hours only.
FINE_FOR = timedelta(days=2)
# What claims to be older than this when it arrives counts as of its arrival.
OLDEST = timedelta(days=90)
DIMENSIONS = ("model", "feature", "release", "prompt_version", "environment")
SCORE_DIMENSION = "score"
REFUSAL = "refusal"  # the name under which the refusal detector scores
LOCK = 7_301  # first key of the advisory locks of this module; the second is the project

# metric: (what is counted, what is added up). A rate is total / n.
METRICS = {
    "requests": "interactions; total: those that ended in an error",
    "latency": "interactions with a latency; total: milliseconds; sketch",
    "ttft": "interactions with a time to first token; total: milliseconds; sketch",
    "input_tokens": "interactions with known input tokens; total: tokens",
    "output_tokens": "interactions with known output tokens; total: tokens",
    "cost": "interactions with a known cost; total: US dollars",
    "thumbs": "votes up or down that count; total: those down",
    "vouched": "the same, of votes that a server or a signed token vouches for; alerts look at no others",
    "refusal": "interactions that the refusal detector has seen; total: those it flagged",
    "flags": "verdicts that flag or clear, by the name of the score; total: those that flag",
    "labels": "labels settled; total: those that say fail",
}
SKETCHED = frozenset({"latency", "ttft"})

Key = tuple[int, str, int, str, str, datetime]  # project, metric, width, dimension, value, start
T = TypeVar("T")


@dataclass(slots=True)
class Delta:
    """What a batch adds to one bucket."""

    n: int = 0
    total: float = 0.0
    sketch: Sketch | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an interaction's observations belong: its project and its values of the dimensions."""

    project_id: int
    values: tuple[str, ...]

    def slices(self) -> Iterator[tuple[str, str]]:
        yield "", ""
        yield from ((name, value) for name, value in zip(DIMENSIONS, self.values, strict=True) if value)


class Tally:
    """Collects the observations of a batch into deltas by bucket."""

    def __init__(self) -> None:
        self.deltas: dict[Key, Delta] = defaultdict(Delta)

    def add(
        self, place: Place, metric: str, at: datetime, arrived: datetime, *, n: int = 1, total: float = 0.0,
        slices: Iterable[tuple[str, str]] | None = None,
    ) -> None:  # fmt: skip
        for width in widths(at, arrived):
            start = floor(at, width)
            for dimension, value in slices or place.slices():
                delta = self.deltas[place.project_id, metric, width, dimension, value, start]
                delta.n += n
                delta.total += total
                if metric in SKETCHED:
                    delta.sketch = delta.sketch or Sketch()
                    delta.sketch.add(total, n)


def counted_at(created: datetime, arrived: datetime) -> datetime:
    """When a fact counts: its client's time, unless that is after its arrival or more than OLDEST before it."""
    return created if arrived - OLDEST <= created <= arrived else arrived


def widths(at: datetime, arrived: datetime) -> tuple[int, ...]:
    return (FINE, COARSE) if arrived - at <= FINE_FOR else (COARSE,)


def floor(at: datetime, width: int) -> datetime:
    """The start of the bucket of ``width`` seconds that holds ``at``."""
    return datetime.fromtimestamp(at.timestamp() // width * width, UTC)


def measure(rows: list[Inbox]) -> None:
    """Folds these facts into the buckets. Only for ``feedback.inbox.consume(Inbox.Stage.MEASURE, …)``."""
    ids: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        ids[row.kind].append(row.object_id)
    _one_at_a_time({row.project_id for row in rows})
    tally = Tally()
    _interactions(tally, ids[Inbox.Kind.INTERACTION])
    _votes(tally, ids[Inbox.Kind.FEEDBACK])
    _verdicts(tally, ids[Inbox.Kind.SCORE])
    _labels(tally, ids[Inbox.Kind.LABEL])
    write(tally.deltas)


def _one_at_a_time(project_ids: set[int]) -> None:
    """Two batches of one project never overlap: each must see what the other has read. Until commit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_advisory_xact_lock(%s, id)) FROM (SELECT unnest(%s::int[]) AS id ORDER BY 1) AS ids",
            [LOCK, [pk % 2**31 for pk in sorted(project_ids)]],
        )


_PLACE = ("project_id", *DIMENSIONS)
_PLACE_OF = tuple(f"interaction__{name}" for name in _PLACE)
_TIMES_OF = ("interaction__created_at", "interaction__received_at")


def _interactions(tally: Tally, ids: list[int]) -> None:
    if not ids:
        return
    numbers = ("latency_ms", "time_to_first_token_ms", "input_tokens", "output_tokens", "cost_usd")
    metrics = ("latency", "ttft", "input_tokens", "output_tokens", "cost")
    fields = ("created_at", "received_at", "status", *numbers, *_PLACE)
    for row in Interaction.objects.filter(pk__in=ids).values_list(*fields):
        place = Place(row[8], row[9:])
        at = counted_at(row[0], row[1])
        tally.add(place, "requests", at, row[1], total=float(row[2] == Interaction.Status.ERROR))
        for metric, number in zip(metrics, row[3:8], strict=True):
            if number is not None:
                tally.add(place, metric, at, row[1], total=float(number))


def _votes(tally: Tally, ids: list[int]) -> None:
    """Thumbs. Of one user's on one answer the verified beats the unverified, then the newer the older."""
    if not ids:
        return
    touched = Feedback.objects.filter(pk__in=ids, kind=Feedback.Kind.THUMBS).values("interaction")
    fields = ("end_user_id", "number", "verified", "created_at", "received_at", "fingerprint")
    rivals = Feedback.objects.filter(kind=Feedback.Kind.THUMBS, interaction__in=touched)
    votes = list(rivals.values_list("pk", "interaction_id", *fields, *_PLACE_OF))
    unread = _unread(Inbox.Kind.FEEDBACK, [vote[0] for vote in votes])
    for before, after in _changes(
        votes,
        group=lambda vote: (vote[1], vote[2]),
        strength=lambda vote: (vote[4], min(vote[5], vote[6]), bytes(vote[7]), vote[0]),
        new=set(ids),
        unread=unread,
    ):
        for vote, sign in ((before, -1), (after, 1)):
            if vote is not None and vote[3] in (-1.0, 1.0):
                place, down = Place(vote[8], vote[9:]), float(vote[3] == -1)
                for metric in ("thumbs", "vouched") if vote[4] else ("thumbs",):
                    tally.add(place, metric, counted_at(vote[5], vote[6]), vote[6], n=sign, total=sign * down)


def _verdicts(tally: Tally, ids: list[int]) -> None:
    """Machine verdicts that flag or clear, at the time of the interaction; of one name the newest counts."""
    if not ids:
        return
    touched = Score.objects.filter(pk__in=ids, flagged__isnull=False)
    rivals = Score.objects.filter(
        interaction__in=touched.values("interaction"), name__in=touched.values("name"), flagged__isnull=False
    )
    fields = ("pk", "interaction_id", "name", "flagged", "created_at", *_TIMES_OF, *_PLACE_OF)
    scores = list(rivals.values_list(*fields))
    unread = _unread(Inbox.Kind.SCORE, [score[0] for score in scores])
    for before, after in _changes(
        scores,
        group=lambda score: (score[1], score[2]),
        strength=lambda score: (score[4], score[0]),
        new=set(ids),
        unread=unread,
    ):
        for score, sign in ((before, -1), (after, 1)):
            if score is None:
                continue
            place, at, name, total = Place(score[7], score[8:]), counted_at(*score[5:7]), score[2], sign * score[3]
            tally.add(place, "flags", at, score[6], n=sign, total=total, slices=[(SCORE_DIMENSION, name)])
            if name == REFUSAL:
                tally.add(place, "refusal", at, score[6], n=sign, total=total)


def _labels(tally: Tally, ids: list[int]) -> None:
    """Labels as they were settled: an event each, also those that were superseded later."""
    if ids:
        fields = ("settled_at", "verdict", *_PLACE_OF)
        for row in Label.objects.filter(pk__in=ids).values_list(*fields):
            tally.add(Place(row[2], row[3:]), "labels", row[0], row[0], total=float(row[1] == Verdict.FAIL))


def _unread(kind: Inbox.Kind, ids: list[int]) -> set[int]:
    """Those facts that the stage has yet to read."""
    if not ids:
        return set()
    waiting = Inbox.objects.filter(stage=Inbox.Stage.MEASURE, kind=kind, object_id__in=ids)
    return set(waiting.values_list("object_id", flat=True))


def _changes(
    facts: Sequence[T], *, group: Callable[[T], Hashable], strength: Callable[[T], Any], new: set[int], unread: set[int]
) -> Iterator[tuple[T | None, T | None]]:
    """For each group of rival facts that gained one: which counted before this batch, and which counts after it.

    A fact is a tuple that begins with its primary key.
    """
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for fact in facts:
        if _pk(fact) not in unread:
            groups[group(fact)].append(fact)
    for rivals in groups.values():
        if new.isdisjoint(_pk(fact) for fact in rivals):
            continue
        known = [fact for fact in rivals if _pk(fact) not in new]
        before, after = max(known, key=strength, default=None), max(rivals, key=strength)
        if before is None or _pk(before) != _pk(after):
            yield before, after


def _pk(fact: Any) -> int:
    return int(fact[0])


_COLUMNS = "project_id, metric, width, dimension, value, start"
_ROWS = (
    "unnest(%s::bigint[], %s::text[], %s::int[], %s::text[], %s::text[], %s::timestamptz[], %s::bigint[], "
    f"%s::float8[]) AS added ({_COLUMNS}, n, total)"
)
# RETURNING tells the sketch that was there before: this statement locks the rows and leaves it alone.
UPSERT = f"""
INSERT INTO monitoring_metricbucket AS bucket ({_COLUMNS}, n, total)
SELECT * FROM {_ROWS} ORDER BY 1, 2, 3, 4, 5, 6
ON CONFLICT ({_COLUMNS}) DO UPDATE SET n = bucket.n + excluded.n,
  total = GREATEST(bucket.total + excluded.total, 0)
RETURNING bucket.id, bucket.project_id, bucket.metric, bucket.width, bucket.dimension, bucket.value, bucket.start,
  bucket.sketch"""  # noqa: S608  # only constants of this module
# A count may fall (a vote taken back), but PostgreSQL checks the row to be inserted before it sees the conflict.
# It never falls below zero by itself; but an interaction whose model became known only after it was counted (late
# spans of a trace) would have its vote taken out of a bucket that it never entered, and one wrong figure is better
# than a fact that cannot be read at all.
SUBTRACT = f"""
UPDATE monitoring_metricbucket AS bucket
SET n = GREATEST(bucket.n + added.n, 0), total = GREATEST(bucket.total + added.total, 0)
FROM {_ROWS} WHERE bucket.project_id = added.project_id AND bucket.metric = added.metric
  AND bucket.width = added.width AND bucket.dimension = added.dimension AND bucket.value = added.value
  AND bucket.start = added.start"""  # noqa: S608  # only constants of this module
SKETCH = """
UPDATE monitoring_metricbucket AS bucket SET sketch = merged.sketch
FROM unnest(%s::bigint[], %s::jsonb[]) AS merged (id, sketch) WHERE bucket.id = merged.id"""


def write(deltas: dict[Key, Delta]) -> None:
    """Adds the deltas to the stored buckets in at most four statements; rows are locked in the order of the key."""
    kept = {key: delta for key, delta in sorted(deltas.items()) if delta.n or delta.total}
    sketched = {key: delta for key, delta in kept.items() if delta.sketch}
    grown = {key: delta for key, delta in kept.items() if delta.n >= 0 and not delta.sketch}
    with connection.cursor() as cursor:
        if grown:
            cursor.execute(UPSERT, _columns(grown))
        if shrunk := {key: delta for key, delta in kept.items() if delta.n < 0}:
            cursor.execute(SUBTRACT, _columns(shrunk))
        if sketched:
            cursor.execute(UPSERT, _columns(sketched))
            cursor.execute(SKETCH, _merged(cursor.fetchall(), sketched))


def _merged(stored: list[tuple[Any, ...]], deltas: dict[Key, Delta]) -> list[list[Any]]:
    """Ids and documents of the sketches of both: the stored ones, as UPSERT returned them, and the new ones."""
    ids, documents = [], []
    for pk, project_id, metric, width, dimension, value, start, document in stored:
        new = deltas[project_id, metric, width, dimension, value, start].sketch or Sketch()
        ids.append(pk)
        documents.append(json.dumps(Sketch.from_json(json.loads(document or "{}")).merge(new).to_json()))
    return [ids, documents]


def _columns(deltas: dict[Key, Delta]) -> list[Any]:
    keys = [list(column) for column in zip(*deltas, strict=True)]
    return [*keys, [delta.n for delta in deltas.values()], [delta.total for delta in deltas.values()]]
