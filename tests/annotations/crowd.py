"""Many reviewers at once over HTTP, and what they were given."""

from __future__ import annotations

import http.client
import json
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from projects import keys
from projects.models import Membership, Project, User
from tests.factories import UserFactory

IN_FLIGHT = 25  # requests at one moment: as many connections to the database as a small server allows


@dataclass(frozen=True)
class Held:
    """One item in the hands of one reviewer."""

    reviewer: int
    task: str
    token: str


@dataclass
class Seen:
    """All that the reviewers saw."""

    held: list[Held] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def doubles(self, slots: int) -> list[str]:
        """Items that more people were given than there are slots, or one person twice; leases given twice.

        Every item is voted on and none is given back, so whoever is given it takes a slot for good.
        """
        found = []
        by_task: dict[str, list[Held]] = defaultdict(list)
        for one in self.held:
            by_task[one.task].append(one)
        for task, leases in by_task.items():
            if len({one.reviewer for one in leases}) > slots:
                found.append(f"{task} was handed to {len({one.reviewer for one in leases})}")
            if max(Counter(one.reviewer for one in leases).values()) > 1:
                found.append(f"{task} was handed to one person twice")
        found += [token for token, count in Counter(one.token for one in self.held).items() if count > 1]
        return found


def reviewers(project: Project, count: int) -> list[tuple[User, str]]:
    """So many reviewers of the project, with a personal token each."""
    people = [UserFactory() for _ in range(count)]
    Membership.objects.bulk_create(Membership(project=project, user=one, role="reviewer") for one in people)
    return [(one, keys.create_key(project=project, kind="pat", name="t", user=one)[1]) for one in people]


class _Client:
    """One keep-alive connection."""

    def __init__(self, address: str, seen: Seen) -> None:
        where = urlsplit(address)
        self.line = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        self.seen = seen

    def post(self, path: str, token: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.line.request("POST", path, json.dumps(body).encode() if body is not None else b"", headers)
        answer = self.line.getresponse()
        text = answer.read()
        if answer.status not in {200, 201}:
            self.seen.troubles.append(f"{answer.status} {text[:200]!r}")
            return None
        return json.loads(text)


def work_off(address: str, queue: str, people: list[tuple[User, str]], each: int) -> Seen:
    """Everybody claims and votes so many times, or until there is nothing; IN_FLIGHT of them at any moment."""
    seen = Seen()
    gate = threading.Barrier(min(IN_FLIGHT, len(people)))
    shares = [people[start :: gate.parties] for start in range(gate.parties)]

    def run(mine: Iterable[tuple[User, str]]) -> None:
        client, waiting = _Client(address, seen), list(mine)
        gate.wait()
        for _ in range(each):
            for person, token in waiting:
                _review_one(client, queue, person, token)
        client.line.close()

    threads = [threading.Thread(target=run, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def _review_one(client: _Client, queue: str, person: User, token: str) -> None:
    told = client.post(f"/api/v1/queues/{queue}/claim", token)
    if not told or told["claim"] is None:
        return
    claim, task = told["claim"]["token"], told["task"]["id"]
    vote = {"submission_id": str(uuid.uuid4()), "verdict": "pass"}
    client.post(f"/api/v1/claims/{claim}/submit", token, vote)
    client.seen.held.append(Held(person.pk, task, claim))
