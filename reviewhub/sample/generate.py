"""A month of traffic from the written patterns: the same seed and the same ``now`` give the same content.

Nothing here touches the database. The numbers are chosen so that a month tells one story: about one answer
in fourteen is faulty until prompt 14 of the energy help desk goes live six days ago and makes answers about
fees and tariffs much worse; twelve days ago the model provider was in trouble for an hour and a half.
"""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from reviewhub.sample import content, voices, written
from reviewhub.sample.content import Assistant, Model, Pattern
from reviewhub.sample.dice import Dice
from reviewhub.sample.written import Exchange, PlannedStep

SEED = 20
DAYS = 30
VISITS_A_DAY = 40
# Monday to Sunday, and the hours of a day (UTC): people write in the morning and after dinner.
WEEKDAYS = [1.25, 1.15, 1.1, 1.05, 1.0, 0.7, 0.6]
HOURS = [1, 0.5, 0.3, 0.2, 0.3, 1, 3, 6, 9, 10, 9.5, 8, 7, 7.5, 8, 7.5, 7, 8, 9, 8.5, 7, 5, 3.5, 2]
JUDGED = 0.45  # so many that each part of the reviewers' labels has its 30 pairs on every day
IMPORTANT_COMPLAINTS = 6
OUTAGE_DAY, OUTAGE_MINUTES, OUTAGE_VISITS, OUTAGE_SHARE = -12, 90, 20, 0.3
ERROR_SHARE = 0.0015
EVERYDAY = 0.65  # of the written shares of faults, where no new prompt spoils things
LARGE_MODEL_SINCE, LARGE_MODEL_SHARE, LARGE_MODEL_FAULTS = -10, 0.2, 0.6
# What a user cannot see in the answer; nobody asks again at once because of these.
SEEN_LATER = {"tool-misuse", "safety-or-privacy"}
CHARACTERS_PER_TOKEN = 3.6
PROMPT_OVERHEAD = 380  # tool descriptions and examples that are not in the template


@dataclass(frozen=True, slots=True)
class JudgeVerdict:
    """What the machine judge said of one answer. ``value`` 1 means fully supported."""

    ident: str
    value: float
    flagged: bool
    explanation: str
    at: datetime


@dataclass(slots=True)
class Traffic:
    """Bodies for the intake in order of time, and for each interaction the exchange it was made from."""

    interactions: list[dict[str, Any]] = field(default_factory=list)
    feedback: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[JudgeVerdict] = field(default_factory=list)
    exchanges: dict[str, Exchange] = field(default_factory=dict)

    def split(self, moment: datetime) -> tuple[Traffic, Traffic]:
        """What was asked before ``moment``, with all that belongs to it, and the rest."""
        early = {body["id"] for body in self.interactions if datetime.fromisoformat(body["created_at"]) < moment}
        return self._part(early), self._part(self.exchanges.keys() - early)

    def _part(self, ids: Set[str]) -> Traffic:
        return Traffic(
            [body for body in self.interactions if body["id"] in ids],
            [body for body in self.feedback if body["interaction_id"] in ids],
            [verdict for verdict in self.verdicts if verdict.ident in ids],
            {ident: self.exchanges[ident] for ident in self.exchanges if ident in ids},
        )


def generate(now: datetime, *, seed: int = SEED, days: int = DAYS, visits_a_day: int = VISITS_A_DAY) -> Traffic:
    """The traffic of the ``days`` before ``now`` (aware, UTC)."""
    street = _Street(Random(seed), now, days)  # noqa: S311  # believable, not secret
    for start in street.arrivals(visits_a_day):
        street.visit(start)
    traffic = street.traffic
    traffic.interactions.sort(key=lambda body: (body["created_at"], body["id"]))
    traffic.feedback = [body for body in traffic.feedback if body["created_at"] < now]
    traffic.feedback.sort(key=lambda body: (body["created_at"], body["interaction_id"]))
    _complain_as_important(traffic)
    for body in (*traffic.interactions, *traffic.feedback):
        body["created_at"] = body["created_at"].isoformat()
    return traffic


def _complain_as_important(traffic: Traffic) -> None:
    """Marks some of those who complain: by chance alone a month may pass in which no important customer does."""
    down = [body["interaction_id"] for body in traffic.feedback if body["kind"] == "thumbs" and body["value"] == "down"]
    chosen = set(down[:: max(len(down) // IMPORTANT_COMPLAINTS, 1)][:IMPORTANT_COMPLAINTS])
    for body in traffic.interactions:
        if body["id"] in chosen and "vip" not in body["tags"]:
            body["tags"].append("vip")


class _Street:
    """Where the visitors come by."""

    def __init__(self, rng: Random, now: datetime, days: int) -> None:
        self.rng, self.now, self.days = rng, now, days
        self.dice = Dice(rng)
        self.content = content.read()
        self.traffic = Traffic()
        patterns = self.content.patterns.values()
        self.openers = {
            assistant.key: [p for p in patterns if p.assistant == assistant.key and not p.follows]
            for assistant in self.content.company.assistant
        }
        self.followers = {p.follows: p for p in patterns if p.follows}
        outage = now + timedelta(days=OUTAGE_DAY)
        self.outage_start = outage.replace(hour=13, minute=20, second=0, microsecond=0)
        self.outage_end = self.outage_start + timedelta(minutes=OUTAGE_MINUTES)

    def arrivals(self, visits_a_day: int) -> list[datetime]:
        """When somebody comes: by day of the week and hour, and more often while the provider is in trouble."""
        first = self.now - timedelta(days=self.days)
        found = []
        for ago in range(self.days + 1):
            midnight = (first + timedelta(days=ago)).replace(hour=0, minute=0, second=0, microsecond=0)
            visits = visits_a_day * WEEKDAYS[midnight.weekday()] * self.rng.uniform(0.9, 1.1)
            for hour in self.rng.choices(range(24), HOURS, k=round(visits)):
                found.append(midnight + timedelta(hours=hour, seconds=self.rng.uniform(0, 3600)))
        found += [
            self.outage_start + timedelta(minutes=self.rng.uniform(0, OUTAGE_MINUTES)) for _ in range(OUTAGE_VISITS)
        ]
        latest = self.now - timedelta(minutes=3)
        return sorted(start for start in found if first < start < latest)

    def day(self, at: datetime) -> float:
        """Days before now, as a negative number."""
        return (at - self.now) / timedelta(days=1)

    def visit(self, start: datetime) -> None:
        """One person's conversation: a question, and perhaps a second one."""
        rng, assistants = self.rng, self.content.company.assistant
        assistant = rng.choices(assistants, [one.share for one in assistants])[0]
        openers = self.openers[assistant.key]
        pattern = rng.choices(openers, [one.weight for one in openers])[0]
        visitor = _Visitor(self, assistant, start)
        faulty = self.dice.happens((pattern.key, visitor.prompt.version), visitor.fault_share(pattern))
        wording = rng.randrange(len(pattern.questions))
        first = self._exchange(pattern, start, faulty, wording=wording)
        share = self.error_share(start)
        broke = self.dice.happens(("broke", share), share)
        visitor.say(first, broke=broke)
        if broke:
            visitor.react("regenerated")
            visitor.say(self._exchange(pattern, start, faulty, wording=wording, values=first.values))
            return
        follower = self.followers.get(pattern.key)
        noticed = not first.found_late and pattern.fault is not None and pattern.fault.category not in SEEN_LATER
        if faulty and noticed and visitor.session and rng.random() < 0.2:
            visitor.react("rephrased")
            again = rng.random() < 0.55
            visitor.say(
                self._exchange(
                    pattern, start, again, wording=wording + 1, values=first.values, turns=visitor.turns
                )
            )  # fmt: skip
        elif follower and not faulty and rng.random() < 0.34:
            visitor.say(self._exchange(follower, start, False, values=first.values, turns=visitor.turns))

    def error_share(self, at: datetime) -> float:
        return OUTAGE_SHARE if self.outage_start <= at < self.outage_end else ERROR_SHARE

    def _exchange(self, pattern: Pattern, start: datetime, faulty: bool, **more: Any) -> Exchange:
        return written.exchange(
            self.content, pattern, rng=self.rng, today=start.date(), faulty=faulty and pattern.fault is not None, **more
        )


class _Visitor:
    """One person in one conversation with one assistant."""

    def __init__(self, street: _Street, assistant: Assistant, start: datetime) -> None:
        self.street, self.rng, self.assistant, self.at = street, street.rng, assistant, start
        rng, day = street.rng, street.day(start)
        self.user = f"{assistant.users}-{rng.randrange(20_000, 20_600 if assistant.users == 'k' else 20_140)}"
        self.session = f"s-{rng.getrandbits(32):08x}" if assistant.key != "mail-reader" else ""
        self.prompt = [one for one in assistant.prompt if one.since_day <= day][-1]
        self.release = [one for one in street.content.company.release if one.since_day <= day][-1].name
        large = assistant.key == "energy-help" and day >= LARGE_MODEL_SINCE and rng.random() < LARGE_MODEL_SHARE
        self.model = street.content.model("heron-large-2.1" if large else assistant.model)
        self.variant = ("large-model" if large else "control") if assistant.key == "energy-help" else ""
        self.vip = rng.random() < 0.03
        self.turns: list[dict[str, str]] = []
        self.last = ""

    def fault_share(self, pattern: Pattern) -> float:
        """How likely the assistant fails at this question, with this prompt and model."""
        if pattern.fault is None:
            return 0.0
        newest = self.prompt is self.assistant.prompt[-1] and len(self.assistant.prompt) > 1
        share = pattern.fault.share * EVERYDAY
        if newest and pattern.fault.share_new is not None:
            share = pattern.fault.share_new
        return share * (LARGE_MODEL_FAULTS if self.variant == "large-model" else 1)

    def react(self, signal: str) -> None:
        """Something the user does instead of answering, seen by the chat window."""
        self.at += timedelta(seconds=self.rng.uniform(8, 45))
        self.street.traffic.feedback.append(
            {
                "interaction_id": self.last, "kind": "implicit", "value": signal, "user_id": self.user,
                "created_at": self.at,
            }
        )  # fmt: skip

    def say(self, exchange: Exchange, *, broke: bool = False) -> None:
        """Asks, gets the answer (or an error), and reacts."""
        rng, street, traffic = self.rng, self.street, self.street.traffic
        body = self._body(exchange)
        if self.at + timedelta(milliseconds=body["latency_ms"]) > self.street.now:
            return
        if broke:
            _break(body, rng.choice(self.street.content.company.failure))
        self.last = body["id"]
        traffic.interactions.append(body)
        traffic.exchanges[body["id"]] = exchange
        seen_at = self.at + timedelta(milliseconds=body["latency_ms"])
        if not broke:
            self.turns += [
                {"role": "user", "content": exchange.question}, {"role": "assistant", "content": exchange.answer},
            ]  # fmt: skip
            if self.assistant.key != "mail-reader":
                traffic.feedback += voices.feedback(
                    rng, street.dice, exchange, ident=body["id"], user=self.user, seen_at=seen_at
                )
            if street.dice.happens(("judged", exchange.faulty), JUDGED):
                judged_at = min(seen_at + timedelta(seconds=rng.uniform(20, 140)), self.street.now)
                traffic.verdicts.append(
                    JudgeVerdict(body["id"], *voices.verdict(rng, street.dice, exchange), judged_at)
                )
        self.at = seen_at + timedelta(seconds=rng.uniform(15, 70))

    def _body(self, exchange: Exchange) -> dict[str, Any]:
        rng, pattern = self.rng, exchange.pattern
        system = self.prompt.template.strip()
        latency = round(
            self.model.median_ms * math.exp(rng.gauss(0, self.model.spread)) * (1 + len(exchange.steps) / 8)
        )
        usage = _usage(rng, system, exchange)
        body: dict[str, Any] = {
            "id": f"nl-{rng.getrandbits(40):010x}", "user_id": self.user, "created_at": self.at,
            "feature": pattern.feature, "environment": "production", "release": self.release,
            "language": pattern.language, "provider": self.model.provider, "model": self.model.name,
            "parameters": {"temperature": 0.2, "max_tokens": 500},
            "prompt": {
                "name": self.assistant.key, "version": self.prompt.version, "template": system,
                "variables": {"language": pattern.language},
            },
            "messages": [
                {"role": "system", "content": system}, *exchange.turns, {"role": "user", "content": exchange.question},
            ],
            "output": exchange.answer, "documents": exchange.documents,
            "spans": _spans(self.at, latency, self.model, exchange, usage), "usage": usage,
            "cost_usd": _cost(self.model, usage), "latency_ms": latency,
            "time_to_first_token_ms": round(latency * rng.uniform(0.12, 0.3)),
            "tags": [*pattern.tags, *(["vip"] if self.vip else [])],
            "metadata": {"channel": self.assistant.channel, "assistant": self.assistant.name},
        }  # fmt: skip
        if self.session:
            body["session_id"] = self.session
        if self.variant:
            body["variant"] = self.variant
        if pattern.schema:
            body["output_schema"] = self.street.content.company.form.schema
        if rng.random() < 0.25:
            body["outcome"] = {"resolved": not exchange.faulty or rng.random() < 0.3}
        return body


def _usage(rng: Random, system: str, exchange: Exchange) -> dict[str, int]:
    text = [system, exchange.question, *(turn["content"] for turn in exchange.turns)]
    text += [document["content"] for document in exchange.documents]
    prompt = round(sum(map(len, text)) / CHARACTERS_PER_TOKEN) + PROMPT_OVERHEAD
    cached = round(len(system) / CHARACTERS_PER_TOKEN) + PROMPT_OVERHEAD if rng.random() < 0.6 else 0
    calls = max(1, sum(step.kind == "llm" for step in exchange.steps))
    answer = round(len(exchange.answer) / CHARACTERS_PER_TOKEN) + 24 * (calls - 1)
    return {"input_tokens": prompt * calls, "output_tokens": answer, "cached_input_tokens": cached * calls}


def _cost(model: Model, usage: dict[str, int]) -> str:
    """US dollars as a decimal text; cached tokens cost a quarter."""
    fresh = usage["input_tokens"] - usage["cached_input_tokens"] * 0.75
    return f"{(fresh * model.input_per_million + usage['output_tokens'] * model.output_per_million) / 1e6:.8f}"


def _break(body: dict[str, Any], failure: content.Failure) -> None:
    """Turns the body into that of a request that the provider did not answer."""
    started = body["created_at"]
    ended = (started + timedelta(milliseconds=failure.latency_ms)).isoformat()
    root = body["spans"][0] | {"status": "error", "ended_at": ended}
    call = body["spans"][-1] | {
        "status": "error", "ended_at": ended, "output": {"error": failure.message}, "parent_id": root["id"],
    }  # fmt: skip
    del body["output"], body["time_to_first_token_ms"], body["usage"], body["cost_usd"]
    body.pop("outcome", None)
    body |= {
        "status": "error", "error": {"type": failure.type, "message": failure.message},
        "latency_ms": failure.latency_ms, "spans": [root, call | {"started_at": started.isoformat()}],
    }  # fmt: skip


# The steps of an assistant that looks something up and answers.
LOOK_UP = [
    PlannedStep("embedding", "embed_question", 0.05, None, None, "search_help_centre", "ok"),
    PlannedStep("retriever", "search_help_centre", 0.14, None, None, "", "ok"),
    PlannedStep("llm", "answer", 0.8, None, None, "", "ok"),
]


def _spans(
    start: datetime, latency: float, model: Model, exchange: Exchange, usage: dict[str, int]
) -> list[dict[str, Any]]:
    """The tree of steps: one after the other under the root, or inside the step named in ``under``."""
    agent = bool(exchange.steps)
    steps = exchange.steps or [step for step in LOOK_UP if exchange.documents or step.kind == "llm"]
    places: dict[str, tuple[str, float]] = {}  # name of a step -> its id and where it begins
    at = 0.02
    for number, step in enumerate(steps):
        if not step.under:
            places[step.name] = (f"a{number + 1}", at)
            at += step.share
    root = "agent" if agent else "chain"
    spans = [
        _span("a0", None, root, exchange.pattern.assistant, start, 0, 1, latency) | {
            "input": {"question": exchange.question}, "output": {"answer": exchange.answer},
        }
    ]  # fmt: skip
    at = 0.02
    for number, step in enumerate(steps):
        parent, begin = places.get(step.under, ("a0", at))
        begin += 0.005 if step.under else 0
        span = _span(f"a{number + 1}", parent, step.kind, step.name, start, begin, step.share, latency)
        span |= {"status": step.status, "input": step.input, "output": step.output}
        if step.kind == "retriever":
            span["input"] = {"query": exchange.question, "top_k": 3}
            span["output"] = [{"id": found["id"], "score": found["score"]} for found in exchange.documents]
        if step.kind == "llm":
            span["attributes"] = {"gen_ai.request.model": model.name}
        if step.name == "answer":
            span["attributes"]["gen_ai.usage.output_tokens"] = usage["output_tokens"]
            span["input"] = {"question": exchange.question, "documents": [one["id"] for one in exchange.documents]}
            span["output"] = {"content": exchange.answer}
        spans.append({key: value for key, value in span.items() if value is not None})
        if not step.under:
            at += step.share
    return spans


def _span(
    ident: str, parent: str | None, kind: str, name: str, start: datetime, begin: float, share: float, latency: float
) -> dict[str, Any]:
    started = start + timedelta(milliseconds=latency * begin)
    ended = started + timedelta(milliseconds=latency * min(share, 1 - begin))
    return {
        "id": ident, "parent_id": parent, "kind": kind, "name": name, "started_at": started.isoformat(),
        "ended_at": ended.isoformat(),
    }  # fmt: skip
