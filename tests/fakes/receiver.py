"""A webhook receiver: records every request, answers 204 or what the test has scripted."""

from __future__ import annotations

from collections import deque

from tests.fakes.server import Answer, Fake, Request


class FakeReceiver(Fake):
    """``receiver.script(Answer(500), Answer(410))`` sets the next answers; afterwards it is 204 again."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self._scripted: deque[Answer] = deque()

    def script(self, *answers: Answer) -> None:
        self._scripted.extend(answers)

    def respond(self, request: Request) -> Answer:
        try:
            return self._scripted.popleft()
        except IndexError:
            return Answer(204)
