"""Judging: the queue of judge jobs, the calls, and the one score that each job ends with.

A job is leased and its attempt counted before the call; the call runs in a thread without a database and
outside any transaction; the result is stored in one transaction under the job's fence. A worker that is
killed anywhere leaves a lease that expires and no score. A verdict changes nothing but its score row.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Now

from annotations.models import Label
from evals import judge_variables, llm, spending, throttle
from evals.judge_prompts import MAX_REASONING, InvalidVerdict, Prompt, Verdict, build, read_preference, read_verdict
from evals.llm import Access, ProviderBusy, ProviderError, Reply, UnusableReply
from evals.models import Judge, JudgeBatch, JudgeCall, JudgeJob, Replay
from evals.spending import Bill
from feedback.models import Interaction, Score, text_of
from feedback.services import record_score
from projects import connections, doorbell, leases
from projects.secrets import SecretUnreadable

log = logging.getLogger("reviewhub.judging")

MAX_ATTEMPTS = 5
# A job that took its worker down with it this often is not given to a fourth.
MAX_DEATHS = 3
# Longer than the deadline of a call plus storing it, so that a lease never ends under a live worker.
LEASE = timedelta(seconds=llm.DEADLINE_SECONDS * 2)
# 30 s, 2 min, 8 min, 32 min: a provider may be away for half an hour and nothing fails.
BACKOFF_SECONDS, BACKOFF_FACTOR = 30.0, 4
# After a 429 that does not say how long, in seconds.
LONGEST_PAUSE = 60.0
# At 500 ms a call this is up to 120 items a second for one judge, and room for a second while its provider hangs.
CONCURRENCY, CONCURRENCY_OF_ONE = 72, 60
ROUND_SECONDS = 20.0


class NeedsKey(Exception):
    """The judge cannot call its provider now. The text says what is missing, e.g. "needs a key: OPENAI_API_KEY"."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to: a verdict, or an error; with the tokens of all replies, used or not.

    ``asked`` counts the requests, ``unknown`` those among them that may have cost something that nobody told.
    """

    verdict: Verdict | None = None
    error: str = ""
    again: bool = False
    busy: bool = False
    unusable: bool = False
    retry_after: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    asked: int = 1
    unknown: int = 0
    reply: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def bill(self) -> Bill:
        return Bill(self.asked, self.unknown, self.input_tokens, self.output_tokens, self.error, self.reply)


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────


def address_of(judge: Judge) -> str:
    """Where the judge's provider is reached: its connection's address, or the installation's."""
    if judge.connection is not None:
        return judge.connection.base_url
    return str(getattr(settings, f"{judge.provider.upper()}_BASE_URL"))


def access_of(judge: Judge | Replay) -> Access:
    """Address and key for a judge or a replay: its connection's, or those of the environment. Raises NeedsKey."""
    if judge.connection is not None:
        try:
            key = connections.key_of(judge.connection)
        except SecretUnreadable:
            raise NeedsKey(f"the key of “{judge.connection}” cannot be read; enter it again") from None
        return Access(judge.connection.kind, judge.connection.base_url, key)
    name = "ANTHROPIC_API_KEY" if judge.provider == Judge.Provider.ANTHROPIC else "OPENAI_API_KEY"
    key, base_url = getattr(settings, name), getattr(settings, name.replace("API_KEY", "BASE_URL"))
    if not key:
        raise NeedsKey(f"needs a key: {name}")
    return Access(judge.provider, base_url, key)


def no_key_at_all() -> str:
    """Which keys the installation lacks where it has none, in words; "" where it has one. Connections come on top."""
    names = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
    return "" if any(getattr(settings, name) for name in names) else f"needs a key: {' or '.join(names)}"


def missing_key(judge: Judge | Replay) -> str:
    """What the judge lacks, in words; "" when it can work."""
    try:
        access_of(judge)
    except NeedsKey as need:
        return str(need)
    return ""


# ── Enqueueing ───────────────────────────────────────────────────────────────────────────────────────


def enqueue(pairs: list[tuple[Judge, Interaction]], purpose: str, *, batch: JudgeBatch | None = None) -> int:
    """Jobs for these pairs, in the hands of ``batch``; those that exist already are left alone.

    Returns how many are new; rings after commit.
    """
    with transaction.atomic():
        before = JudgeJob.objects.filter(
            judge__in={judge.pk for judge, _ in pairs}, interaction__in={item.pk for _, item in pairs}, purpose=purpose
        ).count()
        JudgeJob.objects.bulk_create(
            [
                JudgeJob(
                    project_id=judge.project_id, judge=judge, interaction=interaction, purpose=purpose, batch=batch
                )
                for judge, interaction in pairs
            ],
            ignore_conflicts=True,
            batch_size=1000,
        )
        after = JudgeJob.objects.filter(
            judge__in={judge.pk for judge, _ in pairs}, interaction__in={item.pk for _, item in pairs}, purpose=purpose
        ).count()
        doorbell.ring("evals.judge" if batch is None else "evals.batch")
    return after - before


def not_judged(judge: Judge) -> QuerySet[Interaction]:
    """Interactions that this judge version has no job for, newest first: what a backfill would take."""
    jobs = JudgeJob.objects.filter(judge=judge)
    return can_judge(judge).exclude(pk__in=jobs.values("interaction")).order_by("-created_at", "-id")


def can_judge(judge: Judge) -> QuerySet[Interaction]:
    """Interactions that have what the rubric needs: an answer, and of its settled label what it calls by name.

    Not those whose session is among the version's examples: it has been told what people say of them.
    """
    found = Interaction.objects.filter(project=judge.project_id, status=Interaction.Status.OK).exclude(output="")
    if told := [one["group"] for one in judge.examples]:
        found = found.exclude(session_id__in=told).exclude(session_id="", external_id__in=told)
    if needed := needs_label(judge):
        labels = Label.objects.filter(interaction=OuterRef("pk"), superseded_at=None)
        labels = labels.exclude(desired_output="") if "reference" in needed else labels
        labels = labels.exclude(assertions=[]) if "assertions" in needed else labels
        found = found.filter(Exists(labels))
    return found


def backfill(judge: Judge, *, limit: int) -> int:
    """Enqueues the newest ``limit`` interactions that the judge has not seen. Returns how many."""
    items = list(not_judged(judge).only("id", "external_id")[:limit])
    return enqueue([(judge, item) for item in items], JudgeJob.Purpose.BACKFILL)


def replay(judge: Judge, *, only: list[int] | None = None) -> int:
    """Gives jobs of the judge that ended in an error, all or ``only`` these, a new life. Returns how many."""
    with transaction.atomic():
        dead = JudgeJob.objects.filter(judge=judge, finished_at__isnull=False).exclude(error="")
        count = (dead if only is None else dead.filter(pk__in=only)).update(
            finished_at=None, error="", attempts=0, leased_until=None, not_before=Now()
        )  # fmt: skip
        doorbell.ring("evals.judge")
    return count


# ── Working ──────────────────────────────────────────────────────────────────────────────────────────

_one_round = threading.Lock()


def work(*, seconds: float = ROUND_SECONDS, concurrency: int = CONCURRENCY) -> bool:
    """Judges what waits, up to ``seconds`` of new claims. Returns whether more is waiting.

    Runs once at a time in a process; several processes share the queue by leases. Jobs of judges that need a
    key are not claimed and lose no attempt.
    """
    if not _one_round.acquire(blocking=False):
        return False
    try:
        _bury()
        spending.give_up_lost()
        return _round(time.monotonic() + seconds, concurrency)
    finally:
        _one_round.release()


def _round(until: float, concurrency: int) -> bool:
    running: dict[Future[Outcome], tuple[JudgeJob, Prompt]] = {}
    with ThreadPoolExecutor(concurrency, thread_name_prefix="judge") as pool:
        while True:
            open_until = time.monotonic() < until
            # Claiming takes five queries whatever the number, so it waits until some places are free.
            if open_until and len(running) <= concurrency * 3 // 4:
                for job, access, prompt in _claim(concurrency, Counter(job.judge_id for job, _ in running.values())):
                    running[pool.submit(ask, access, job.judge.model, prompt)] = job, prompt
            if not running:
                return not open_until
            ended: dict[int, list[Done]] = defaultdict(list)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job, prompt = running.pop(future)
                ended[job.judge_id].append((job, future.result(), prompt.cut))
            for done in ended.values():
                _store(done)


def _store(done: Sequence[Done]) -> None:
    """Stores results of one judge together; where one of them cannot be stored, each for itself."""
    try:
        settle_all(done)
    except Exception:
        if len(done) > 1:
            for one in done:
                _store([one])
        else:  # its lease runs out and it comes again; the others go on
            log.exception("the result of judge job %s could not be stored", done[0][0].pk)


def _waiting() -> QuerySet[JudgeJob]:
    return JudgeJob.objects.filter(finished_at__isnull=True, batch__isnull=True, not_before__lte=Now())


def _claim(concurrency: int, running: Counter[int]) -> list[tuple[JudgeJob, Access, Prompt]]:
    """Leases as many jobs as there are free places, shared out so that one slow provider leaves room for others."""
    free = concurrency - running.total()
    if free <= 0:
        return []
    judges = Judge.objects.filter(enabled=True, pk__in=_waiting().values("judge"))
    claimed: list[tuple[JudgeJob, Access, Prompt]] = []
    for judge in judges.select_related("connection", "project"):
        most = min(free - len(claimed), places_of_one(concurrency) - running[judge.pk])
        if most <= 0:
            continue
        try:
            access = access_of(judge)
        except NeedsKey:
            continue
        claimed += [(job, access, prompt) for job, prompt in _claim_of(judge, most)]
    return claimed


def places_of_one(concurrency: int = CONCURRENCY) -> int:
    """How many calls of one judge a worker has under way at most."""
    return max(1, concurrency * CONCURRENCY_OF_ONE // CONCURRENCY)


def _claim_of(judge: Judge, most: int) -> list[tuple[JudgeJob, Prompt]]:
    """Leases jobs of one judge and reserves what they may cost, in one transaction; those over a cap are left alone.

    Rows are locked in one order everywhere: the provider's, a batch's, jobs, calls, what is spent.
    """
    with transaction.atomic():
        room = throttle.room(judge, most)
        if room <= 0:
            return []
        before = _waiting().filter(judge=judge).order_by("not_before", "id")
        jobs = leases.claim(before, limit=room, lease=LEASE)
        items = Interaction.objects.in_bulk([job.interaction_id for job in jobs])
        labels = labels_for(judge, items.values())
        attempts = []
        for job in jobs:
            job.judge, job.interaction = judge, items[job.interaction_id]
            prompt = prompt_for(judge, job.interaction, labels.get(job.interaction_id))
            if prompt.missing:
                end_without(job, prompt.missing)
            else:
                attempts.append((job, prompt))
        fits = spending.reserve(judge, attempts) if attempts else 0
        over = [job.pk for job, _ in attempts[fits:]]
        if over:
            JudgeJob.objects.filter(pk__in=over).update(leased_until=None, attempts=F("attempts") - 1)
    return attempts[:fits]


def end_without(job: JudgeJob, missing: Iterable[str]) -> None:
    """Ends a job that cannot be asked: its label lost what the rubric needs after the job was made."""
    names = " and ".join(f"{{{{{name}}}}}" for name in missing)
    _ours(job).update(
        finished_at=Now(), leased_until=None, batch=None,
        error=f"No {names}: the settled label of this interaction has none.",
    )  # fmt: skip


def prompt_for(judge: Judge, interaction: Interaction, label: Label | None = None) -> Prompt:
    """What the judge is sent about this interaction; ``label`` is its settled one, see ``labels_for``."""
    return build(
        criterion=judge.criterion,
        conversation=[
            (str(message.get("role", "")), text_of(message.get("content"))) for message in interaction.messages
        ],
        answer=interaction.output,
        documents=[(str(one.get("title") or one.get("id") or ""), text_of(one.get("content")))
                   for one in interaction.documents],
        reference=label.desired_output if label else "",
        assertions=[(str(one.get("type", "")), str(one.get("text", ""))) for one in label.assertions] if label else (),
        metadata=interaction.metadata, examples=judge.examples,
        compares=judge.kind == Judge.Kind.PAIRWISE,
    )  # fmt: skip


def needs_label(judge: Judge) -> set[str]:
    """Which of a label's parts the rubric calls: none, or what a new interaction cannot have yet."""
    if judge.kind == Judge.Kind.PAIRWISE:
        return {"reference"}
    return judge_variables.OF_LABELS & set(judge_variables.names(judge.criterion))


def labels_for(judge: Judge, items: Iterable[Interaction]) -> dict[int, Label]:
    """The settled labels of these interactions where the rubric needs them; at most one query."""
    if not needs_label(judge):
        return {}
    found = Label.objects.filter(interaction__in=[item.pk for item in items], superseded_at=None)
    return {label.interaction_id: label for label in found.only("interaction", "desired_output", "assertions")}


def ask(access: Access, model: str, prompt: Prompt) -> Outcome:
    """Calls the provider, for a comparison in both orders, within one deadline. Knows no database."""
    deadline = time.monotonic() + llm.DEADLINE_SECONDS
    first = _ask(access, model, prompt, deadline)
    if prompt.swapped is None or first.verdict is None:
        return first
    if deadline - time.monotonic() <= 1:
        late = "The provider took too long for both orders."
        return replace(first, verdict=None, error=late, again=True)
    return joined(first, _ask(access, model, prompt.swapped, deadline))


def joined(one: Outcome, other: Outcome) -> Outcome:
    """A comparison asked in both orders: the same answer preferred twice is a preference, all else is a tie.

    L. Zheng et al., "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", NeurIPS 2023, arXiv:2306.05685, 3.4.
    ``detail`` keeps which place won in each order, so that the share of flips can be told.
    """
    both = replace(
        other,
        asked=one.asked + other.asked,
        unknown=one.unknown + other.unknown,
        input_tokens=_sum(one.input_tokens, other.input_tokens),
        output_tokens=_sum(one.output_tokens, other.output_tokens),
        reply=other.reply or one.reply,
    )
    if one.verdict is None or other.verdict is None:
        return both
    first, second = one.verdict.score, 1 - other.verdict.score  # 1: the application's answer
    half = MAX_REASONING // 2 - 20
    reasons = f"Answer first: {one.verdict.reasoning[:half]}\nAnswer second: {other.verdict.reasoning[:half]}"
    detail = {"places": [_PLACES[one.verdict.score], _PLACES[other.verdict.score]], "flipped": first != second}
    return replace(both, verdict=Verdict(reasons, first if first == second else 0.5), detail=detail)


_PLACES = {1.0: "first", 0.5: "tie", 0.0: "second"}


def _ask(access: Access, model: str, prompt: Prompt, deadline: float) -> Outcome:
    """One order; an unusable reply is asked for once more."""
    first = _ask_once(access, model, prompt, deadline - time.monotonic())
    if not first.unusable:
        return first
    left = deadline - time.monotonic()
    if left <= 1:
        return first
    second = _ask_once(access, model, prompt.again(), left)
    return replace(
        second,
        asked=2,
        unknown=first.unknown + second.unknown,
        input_tokens=_sum(first.input_tokens, second.input_tokens),
        output_tokens=_sum(first.output_tokens, second.output_tokens),
        reply=second.reply or first.reply,
    )


def _ask_once(access: Access, model: str, prompt: Prompt, timeout: float) -> Outcome:
    return outcome_of(lambda: llm.complete(access, model, prompt, timeout=timeout), compares=prompt.compares)


def outcome_of(reply_of: Callable[[], Reply], *, compares: bool) -> Outcome:
    """What one request came to; ``reply_of`` gives the reply or raises what ``llm.complete`` raises."""
    try:
        reply = reply_of()
        verdict = _verdict(reply, compares)
    except UnusableReply as bad:
        told = bad.reply.input_tokens is not None or bad.reply.output_tokens is not None
        return Outcome(
            error=f"Invalid output: {bad}", unusable=True, reply=bad.reply.text[: llm.MAX_KEPT], unknown=not told,
            input_tokens=bad.reply.input_tokens, output_tokens=bad.reply.output_tokens,
        )  # fmt: skip
    except ProviderBusy as busy:
        return Outcome(error=str(busy), again=True, busy=True, retry_after=busy.retry_after)
    except ProviderError as error:
        return Outcome(error=str(error), again=error.again, unknown=not error.free)
    except Exception:  # a fault of ours must cost this job an attempt and not the round
        log.exception("a judge call failed in our own code")
        return Outcome(error="Review Hub failed while judging this.", again=True, unknown=True)
    unknown = reply.input_tokens is None and reply.output_tokens is None
    return Outcome(verdict, input_tokens=reply.input_tokens, output_tokens=reply.output_tokens, unknown=unknown)


def _verdict(reply: Reply, compares: bool) -> Verdict:
    """A verdict; of a comparison 1 for the first, 0 for the second and 0.5 for a tie."""
    try:
        if not compares:
            return read_verdict(reply.text)
        preference = read_preference(reply.text)
        return Verdict(preference.reasoning, {"first": 1.0, "tie": 0.5, "second": 0.0}[preference.preferred])
    except InvalidVerdict as invalid:
        raise UnusableReply(str(invalid), reply) from None


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


# ── Settling ─────────────────────────────────────────────────────────────────────────────────────────


Done = tuple[JudgeJob, Outcome, dict[str, dict[str, int]]]


def settle(job: JudgeJob, outcome: Outcome, *, cut: dict[str, dict[str, int]] | None = None) -> bool:
    """Stores what a call came to, if the job is still ours; returns whether it was. See ``settle_all``."""
    return bool(settle_all([(job, outcome, cut or {})]))


def settle_all(done: Sequence[Done]) -> int:
    """Stores what calls of one judge came to, and how its provider is. See ``finish_all``."""
    with transaction.atomic():
        _tell_throttle(done)
        return finish_all(done)


def finish_all(done: Sequence[Done]) -> int:
    """Stores what requests of one judge came to, with what was cut of each; returns how many jobs were still ours.

    All in one transaction, so that what they share is asked and written once. A verdict becomes its job's one score,
    in the transaction that finishes the job. A passing fault puts the job back until later; the last attempt, or a
    fault that will not pass, ends it with an error.
    """
    judge = done[0][0].judge
    with transaction.atomic():
        unfinished = JudgeJob.objects.filter(pk__in=[job.pk for job, _, _ in done], finished_at__isnull=True)
        held = set(unfinished.select_for_update(of=("self",)).order_by("pk").values_list("pk", "fence"))
        spending.settle_all(judge, [(job, outcome.bill) for job, outcome, _ in done])
        ours = [one for one in done if (one[0].pk, one[0].fence) in held]
        spent = _spent([job.pk for job, _, _ in ours])
        for job, outcome, cut in ours:
            if outcome.verdict is None and outcome.again and job.attempts < MAX_ATTEMPTS:
                delay = delay_of(job.attempts, outcome.retry_after)
                _ours(job).update(leased_until=None, batch=None, not_before=Now() + timedelta(seconds=delay))
                continue
            score = _score(job, outcome.verdict, {"cut": cut, **outcome.detail}) if outcome.verdict else None
            _ours(job).update(
                finished_at=Now(), leased_until=None, batch=None, score=score, error=outcome.error[:300],
                **spent.get(job.pk, {}),
            )  # fmt: skip
    return len(ours)


def _tell_throttle(done: Sequence[Done]) -> None:
    """In their order; of several in a row that went well, the first says it all."""
    before: Outcome | None = None
    for job, outcome, _ in done:
        if outcome.busy:
            wish = outcome.retry_after
            pause = min(delay_of(job.attempts, None), LONGEST_PAUSE) if wish is None else wish
            throttle.busy(job.judge, pause, places_of_one())
        elif outcome.again:
            throttle.failed(job.judge, outcome.error)
        elif before is None or before.busy or before.again:
            throttle.went_well(job.judge)
        before = outcome


def _ours(job: JudgeJob) -> QuerySet[JudgeJob]:
    return cast("QuerySet[JudgeJob]", leases.still_held(job))


def _score(job: JudgeJob, verdict: Verdict, detail: dict[str, Any]) -> Score:
    judge = job.judge
    failed = verdict.score < judge.threshold
    item = {
        "interaction_id": job.interaction.external_id,
        "name": judge.slug,
        "version": str(judge.version),
        "value": verdict.score,
        "label": "fail" if failed else "pass",
        "flagged": failed,
        "explanation": verdict.reasoning,
        "detail": {"judge": judge.pk, "model": judge.model, **detail},
        "key": f"judge-job:{job.pk}",  # the database itself refuses a second score of this job
    }
    return record_score(judge.project, item, source=Score.Source.JUDGE).score


def _spent(jobs: list[int]) -> dict[int, dict[str, Any]]:
    """What all attempts of each job together took, from the ledger: a retry's cost belongs to its result."""
    told = JudgeCall.objects.filter(job__in=jobs).values("job").order_by("job").annotate(
        reads=Sum("input_tokens"), writes=Sum("output_tokens"), cost=Sum("settled_usd")
    )  # fmt: skip
    return {
        row["job"]: {
            "input_tokens": row["reads"], "output_tokens": row["writes"],
            "cost_usd": None if row["reads"] is None else row["cost"],
        }
        for row in told
    }  # fmt: skip


def delay_of(attempts: int, retry_after: float | None) -> float:
    """Seconds until the next attempt: the provider's wish, else growing steps; both spread, so that jobs do not
    come back all at once."""
    if retry_after is not None:
        return retry_after + random.uniform(0, 1 + retry_after * 0.2)  # noqa: S311  # spreading, not security
    return BACKOFF_SECONDS * float(BACKOFF_FACTOR ** (attempts - 1)) * random.uniform(0.8, 1.2)  # noqa: S311


def _bury() -> None:
    """Ends jobs whose worker died MAX_DEATHS times: their lease ran out instead of being given back."""
    dead = JudgeJob.objects.filter(
        Q(attempts__gte=MAX_DEATHS, leased_until__lte=Now()), finished_at__isnull=True
    ).update(
        finished_at=Now(), leased_until=None, error=f"The worker stopped {MAX_DEATHS} times while judging this."
    )  # fmt: skip
    if dead:
        log.error("%d judge jobs were given up: their worker died each time", dead)
