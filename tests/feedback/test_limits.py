"""Every limit of the intake at n and at n + 1, through HTTP; and the page of the docs that lists them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F

from feedback import limits
from projects import strictjson
from projects.models import RateCounter
from tests.conftest import Api
from tests.feedback.bodies import interaction, thumbs

DOCS = Path(__file__).resolve().parents[2] / "docs" / "api.md"
ONE, MANY = "/api/v1/interactions", "/api/v1/interactions/batch"
FEEDBACK, VOTES, SCORES = "/api/v1/feedback", "/api/v1/feedback/batch", "/api/v1/scores"
UNITS = {"KIB", "MIB"}
LIMITS: dict[str, int] = {
    name: int(value)
    for module, names in ((limits, dir(limits)), (strictjson, [n for n in dir(strictjson) if n.startswith("MAX_")]))
    for name in names
    if name.isupper() and name not in UNITS and isinstance(value := getattr(module, name), int | float)
}


def padded(body: Any, size: int) -> bytes:
    """The body with blanks behind it, of exactly this many bytes."""
    return json.dumps(body).encode().ljust(size)


def words(size: int) -> str:
    """Of so many code points; some take four bytes and two of JavaScript's characters."""
    return ("ä😀" + "x" * size)[:size]


def score(**changes: Any) -> dict[str, Any]:
    return {"interaction_id": "req-1", "name": "tone", "value": 1, **changes}


def year(number: int) -> dict[str, Any]:
    return interaction(created_at=f"{number}-12-31T23:59:59Z")


@dataclass(frozen=True)
class Case:
    """Where a limit shows: ``at`` is taken, ``beyond`` refused with ``status`` and, for 422, the path."""

    url: str
    at: Any
    beyond: Any
    path: str = ""
    status: int = 422


def field(name: str, path: str, make: Any, url: str = ONE, body: Any = interaction) -> Case:
    """A field that may be as long, large or many as the limit says."""
    n = LIMITS[name]
    return Case(url, body(**make(n)), body(**make(n + 1)), path)


CASES: dict[str, list[Case]] = {
    "FEEDBACK_BODY": [
        Case(FEEDBACK, padded(thumbs(), limits.FEEDBACK_BODY), padded(thumbs(), limits.FEEDBACK_BODY + 1), status=413),
        Case(SCORES, padded(score(), limits.FEEDBACK_BODY), padded(score(), limits.FEEDBACK_BODY + 1), status=413),
    ],
    "INTERACTION_BODY": [
        Case(ONE, padded(interaction(), limits.INTERACTION_BODY), padded({}, limits.INTERACTION_BODY + 1), status=413)
    ],
    "BATCH_BODY": [
        Case(MANY, padded([interaction()], limits.BATCH_BODY), padded([], limits.BATCH_BODY + 1), status=413),
        Case("/v1/traces", padded({}, limits.BATCH_BODY), padded({}, limits.BATCH_BODY + 1), status=413),
    ],
    "BATCH_ITEMS": [
        Case(VOTES, [thumbs()] * limits.BATCH_ITEMS, [thumbs()] * (limits.BATCH_ITEMS + 1), status=413),
        Case(MANY, [interaction()] * limits.BATCH_ITEMS, [interaction()] * (limits.BATCH_ITEMS + 1), status=413),
    ],
    "TEXT": [
        field("TEXT", "/output", lambda n: {"output": words(n)}),
        field("TEXT", "/input", lambda n: {"messages": None, "input": words(n)}),
        field("TEXT", "/messages/0/content", lambda n: {"messages": [{"role": "user", "content": words(n)}]}),
        field("TEXT", "/documents/0/content", lambda n: {"documents": [{"content": words(n)}]}),
        field("TEXT", "/error/message", lambda n: {"error": {"message": words(n)}}),
        field("TEXT", "/correction", lambda n: {"correction": words(n)}, FEEDBACK, thumbs),
        field("TEXT", "/explanation", lambda n: {"explanation": words(n)}, SCORES, score),
    ],
    "COMMENT": [
        field("COMMENT", "/comment", lambda n: {"comment": words(n)}, FEEDBACK, thumbs),
        field("COMMENT", "/value", lambda n: {"kind": "comment", "value": words(n)}, FEEDBACK, thumbs),
    ],
    "IDENTIFIER": [
        field("IDENTIFIER", "/id", lambda n: {"id": words(n)}),
        field("IDENTIFIER", "/session_id", lambda n: {"session_id": words(n)}),
        field("IDENTIFIER", "/user_id", lambda n: {"user_id": words(n)}),
        field("IDENTIFIER", "/spans/0/id", lambda n: {"spans": [{"id": words(n)}]}),
        field("IDENTIFIER", "/interaction_id", lambda n: {"interaction_id": words(n)}, FEEDBACK, thumbs),
    ],
    "KEY": [
        field("KEY", "/key", lambda n: {"key": words(n)}, FEEDBACK, thumbs),
        field("KEY", "/key", lambda n: {"key": words(n)}, SCORES, score),
    ],
    "NAME": [
        *(
            field("NAME", f"/{name}", lambda n, name=name: {name: words(n)})
            for name in ("feature", "release", "model")
        ),
        field("NAME", "/prompt/name", lambda n: {"prompt": {"name": words(n)}}),
        field("NAME", "/error/type", lambda n: {"error": {"type": words(n)}}),
        field("NAME", "/value", lambda n: {"kind": "category", "value": words(n)}, FEEDBACK, thumbs),
        field("NAME", "/label", lambda n: {"label": words(n)}, SCORES, score),
    ],
    "SHORT_NAME": [
        *(
            field("SHORT_NAME", f"/{name}", lambda n, name=name: {name: words(n)})
            for name in ("environment", "variant", "provider")
        ),
        field("SHORT_NAME", "/prompt/version", lambda n: {"prompt": {"version": words(n)}}),
        field("SHORT_NAME", "/name", lambda n: {"name": words(n)}, SCORES, score),
    ],
    "TAG": [field("TAG", "/tags/0", lambda n: {"tags": [words(n)]})],
    "ROLE": [field("ROLE", "/messages/0/role", lambda n: {"messages": [{"role": words(n)}]})],
    "LANGUAGE": [field("LANGUAGE", "/language", lambda n: {"language": words(n)})],
    "TITLE": [field("TITLE", "/documents/0/title", lambda n: {"documents": [{"title": words(n)}]})],
    "SPAN_NAME": [field("SPAN_NAME", "/spans/0/name", lambda n: {"spans": [{"id": "a", "name": words(n)}]})],
    "VERSION": [field("VERSION", "/version", lambda n: {"version": words(n)}, SCORES, score)],
    "MESSAGES": [
        field("MESSAGES", "/messages", lambda n: {"messages": [{"role": "user"}] * n}),
        field("MESSAGES", "/output", lambda n: {"output": [{"role": "assistant"}] * n}),
    ],
    "DOCUMENTS": [field("DOCUMENTS", "/documents", lambda n: {"documents": [{}] * n})],
    "SPANS": [field("SPANS", "/spans", lambda n: {"spans": [{"id": str(number)} for number in range(n)]})],
    "TAGS": [field("TAGS", "/tags", lambda n: {"tags": ["t"] * n})],
    "TOOLS": [field("TOOLS", "/tools", lambda n: {"tools": [{}] * n})],
    "METADATA_KEYS": [
        field("METADATA_KEYS", f"/{name}", lambda n, name=name: {name: {str(key): 1 for key in range(n)}})
        for name in ("metadata", "parameters", "outcome")
    ],
    "TOKENS": [field("TOKENS", "/usage/input_tokens", lambda n: {"usage": {"input_tokens": n}})],
    "MILLISECONDS": [field("MILLISECONDS", "/latency_ms", lambda n: {"latency_ms": n})],
    "COST_USD": [Case(ONE, interaction(cost_usd="999999.99999999"), interaction(cost_usd="1000000"), "/cost_usd")],
    "SCALE": [field("SCALE", "/scale", lambda n: {"kind": "rating", "value": 1, "scale": n}, FEEDBACK, thumbs)],
    "SCORE": [
        field("SCORE", "/value", lambda n: {"value": n}, SCORES, score),
        field("SCORE", "/value", lambda n: {"value": -n}, SCORES, score),
    ],
    "FIRST_YEAR": [Case(ONE, year(limits.FIRST_YEAR), year(limits.FIRST_YEAR - 1), "/created_at")],
    "LAST_YEAR": [Case(ONE, year(limits.LAST_YEAR), year(limits.LAST_YEAR + 1), "/created_at")],
    "MAX_DEPTH": [  # the body itself and metadata are two of them
        Case(
            ONE,
            interaction(metadata={"a": json.loads("[" * 30 + "]" * 30)}),
            interaction(metadata={"a": json.loads("[" * 31 + "]" * 31)}),
            status=400,
        )
    ],
    "MAX_KEYS": [
        Case(ONE, interaction(tools=tools), interaction(tools=[*tools, {"one": "more"}]), status=400)
        for tools in [[dict.fromkeys(map(str, range(1000)), 1)] * 19 + [dict.fromkeys(map(str, range(994)), 1)]]
    ],
    "MAX_KEY_LENGTH": [
        Case(ONE, interaction(metadata={words(200): 1}), interaction(metadata={words(201): 1}), status=400)
    ],
    "MAX_DIGITS": [
        Case(SCORES, body(398), body(399), status=400)
        for body in [lambda n: json.dumps(score(value="@")).replace('"@"', "0." + "1" * n).encode()]
    ],
}  # fmt: skip
IN_TESTS_OF_THEIR_OWN = {
    "PAGE_SIZE", "PAGE_SIZE_MAX", "SEARCH", "BROWSER_WINDOW_SECONDS", "BROWSER_KEY_REQUESTS",
    "BROWSER_ADDRESS_REQUESTS", "BROWSER_INTERACTION_REQUESTS",
}  # fmt: skip


def test_every_limit_has_a_test() -> None:
    assert CASES.keys() | IN_TESTS_OF_THEIR_OWN == LIMITS.keys()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{name} {case.url} {case.path}".strip())
        for name, cases in CASES.items()
        for case in cases
    ],
)
def test_a_limit_is_taken_and_one_more_is_refused(sk: Api, case: Case) -> None:
    status, body = sk.post(case.url, case.at)
    assert status in {200, 201}, body
    assert {item["status"] for item in body.get("results", ())} <= {200, 201}
    status, body = sk.post(case.url, case.beyond)
    assert status == case.status, body
    assert case.path in [detail["path"] for detail in body["error"].get("details", [{"path": ""}])], body


def test_a_list_has_fifty_rows_or_up_to_two_hundred(sk: Api) -> None:
    sk.post(MANY, [interaction(id=str(number)) for number in range(limits.PAGE_SIZE_MAX + 1)])
    assert len(sk.get(ONE)[1]["results"]) == limits.PAGE_SIZE
    assert len(sk.get(f"{ONE}?limit={limits.PAGE_SIZE_MAX}")[1]["results"]) == limits.PAGE_SIZE_MAX
    assert sk.get(f"{ONE}?limit={limits.PAGE_SIZE_MAX + 1}")[0] == 422


@pytest.mark.parametrize("name", ["q", "model", "tag"])
def test_what_is_searched_for_has_a_length(sk: Api, name: str) -> None:
    assert sk.get(f"{ONE}?{name}={'x' * limits.SEARCH}")[0] == 200
    status, body = sk.get(f"{ONE}?{name}={'x' * (limits.SEARCH + 1)}")
    assert (status, body["error"]["details"][0]["path"]) == (422, f"/{name}")


@pytest.mark.parametrize(
    ("name", "counter"),
    [
        ("BROWSER_KEY_REQUESTS", "feedback:key:"),
        ("BROWSER_ADDRESS_REQUESTS", "feedback:from:"),
        ("BROWSER_INTERACTION_REQUESTS", "feedback:plain:"),
    ],
)
def test_requests_of_browsers_are_counted_for_a_minute(pk: Api, name: str, counter: str) -> None:
    def vote() -> int:
        return pk.post(FEEDBACK, thumbs(), Origin="https://chat.example.com")[0]

    assert vote() == 201
    counted = RateCounter.objects.filter(key__startswith=counter)
    counted.update(count=LIMITS[name] - 1)  # as if so many had come, which would take a while
    assert vote() == 201
    status, body = pk.post(FEEDBACK, thumbs(), Origin="https://chat.example.com")
    assert (status, body["error"]["code"]) == (429, "rate_limited")
    (row,) = counted
    assert row.window == row.ends_at.timestamp() // limits.BROWSER_WINDOW_SECONDS - 1, "a window is a minute"
    RateCounter.objects.update(window=F("window") - 1)  # as if a minute had passed
    assert vote() == 201


def shown(name: str) -> str:
    """The limit as people read it."""
    value = LIMITS[name]
    if name.endswith("_BODY"):
        return f"{value // limits.MIB} MiB" if value >= limits.MIB else f"{value // limits.KIB} KiB"
    return str(value) if name.endswith("_YEAR") else f"{value:,}"


def test_the_docs_list_every_limit_as_it_is() -> None:
    _, _, part = DOCS.read_text().partition("\n## Limits\n")
    listed = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", part.partition("\n## ")[0], re.MULTILINE)
    assert len(listed) == len(LIMITS)
    assert dict(listed) == {name: shown(name) for name in LIMITS}
