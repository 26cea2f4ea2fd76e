"""The harness itself: no test empties the tables while the server still answers a page of it."""

from __future__ import annotations

import threading
import time

from django.core.signals import request_finished, request_started

from tests.browser.conftest import Serving


def answer(seconds: float) -> None:
    request_started.send(answer)
    time.sleep(seconds)
    request_finished.send(answer)


def test_an_answer_that_nobody_waits_for_is_waited_for(serving: Serving) -> None:
    thread = threading.Thread(target=answer, args=[0.4])
    thread.start()
    serving.rest()
    assert not thread.is_alive()


def test_where_nothing_is_answered_the_wait_is_short(serving: Serving) -> None:
    began = time.monotonic()
    serving.rest()
    assert time.monotonic() - began < 1
