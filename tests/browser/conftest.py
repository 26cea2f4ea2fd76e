"""A real Chromium against a live server. Without a browser on the machine these tests say so and are skipped."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from annotations.models import FailureMode, Queue, Task
from feedback.models import Feedback, Interaction
from projects.models import Project, User

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
WAIT = 5_000  # ms; what is not there by then does not come


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: the browser tests need one (apt-get install chromium)")
    # Playwright's own loop runs in this thread; Django would take it for an async view that touches the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """One browser window of one person, and what went wrong in it."""

    def __init__(self, context: BrowserContext, page: Page, base: str) -> None:
        self.context, self.page, self.base = context, page, base
        self.problems: list[str] = []
        self.foreign: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda line: self.problems.append(line.text) if line.type == "error" else None)
        page.on("request", self._note)
        self.open_requests = 0
        page.on("request", lambda _: self._count(1))
        page.on("requestfinished", lambda _: self._count(-1))
        page.on("requestfailed", lambda _: self._count(-1))

    def _count(self, step: int) -> None:
        self.open_requests += step

    def rest(self) -> None:
        """Waits for what the page asks for by itself: the database is emptied after the test."""
        for _ in range(100):
            if self.open_requests <= 0:
                return
            self.page.wait_for_timeout(20)

    def _note(self, request: Any) -> None:
        if not request.url.startswith((self.base, "data:")):
            self.foreign.append(request.url)

    def open(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page


class Serving:
    """Which threads of the live server answer something. A request that its page has given up is answered all the same.

    Emptying the tables beneath it ends in a deadlock, and what it writes afterwards is found by the next test.
    """

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def begins(self, **_: Any) -> None:
        if threading.current_thread() is not threading.main_thread():  # the tests' own clients
            self.threads.add(threading.get_ident())

    def ends(self, **_: Any) -> None:
        self.threads.discard(threading.get_ident())

    def rest(self, *, quiet: float = 0.06, at_most: float = 10) -> None:
        """Returns once nothing has been answered for so many seconds: what was just sent may not have begun yet."""
        end, since = time.monotonic() + at_most, time.monotonic()
        while time.monotonic() < min(end, since + quiet):
            if self.threads:
                since = time.monotonic()
            time.sleep(0.005)


@pytest.fixture
def serving() -> Iterator[Serving]:
    noted = Serving()
    request_started.connect(noted.begins)
    request_finished.connect(noted.ends)
    yield noted
    request_started.disconnect(noted.begins)
    request_finished.disconnect(noted.ends)


@pytest.fixture
def visit(
    chromium: Browser, live_server: Any, people: dict[str, User], serving: Serving
) -> Iterator[Callable[..., Visitor]]:
    """``visit("reviewer")``: a window with this person signed in; options are those of a browser context."""
    visitors: list[Visitor] = []

    def make(who: str | None, **options: Any) -> Visitor:
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        context.set_default_timeout(WAIT)
        if who is not None:
            client = Client()
            client.force_login(people[who])
            cookie = {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value}
            context.add_cookies([{**cookie, "domain": urlsplit(live_server.url).hostname, "path": "/"}])
        visitors.append(Visitor(context, context.new_page(), live_server.url))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.page.wait_for_timeout(60)  # the next item is fetched a moment after one is shown
        visitor.rest()
        visitor.page.goto("about:blank")
        visitor.rest()
        visitor.context.close()
    serving.rest()


class Site:
    """A site of somebody else: one page under a strict policy of its own, which trusts only ``hub``."""

    def __init__(self, hub: str) -> None:
        self.hub, self.body = hub, ""
        self.headers: dict[str, str] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = f"""<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>A shop</title>
                  <meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">
                  <main><h1>Help</h1>{site.body}</main><script src="{site.hub}/widget.js" defer></script></html>"""
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                policy = f"default-src 'none'; img-src data:; script-src {site.hub}; connect-src {site.hub}"
                self.send_header("Content-Security-Policy", policy)
                for name, value in site.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site(live_server: Any) -> Iterator[Site]:
    opened = Site(live_server.url)
    yield opened
    opened.close()


@pytest.fixture
def project(transactional_db: None, project: Project) -> Project:
    """As everywhere, but committed, so that the live server sees it."""
    return project


@pytest.fixture
def queue(project: Project) -> Queue:
    return Queue.objects.get(project=project, slug="negative-feedback")


@pytest.fixture
def wait_in(queue: Queue) -> Callable[..., Task]:
    """Puts an interaction with a thumbs-down into the queue, each later than the one before."""

    def put(name: str, **fields: Any) -> Task:
        place = Task.objects.count()
        interaction = Interaction.objects.create(
            **{
                "project": queue.project,
                "external_id": name,
                "created_at": timezone.now(),
                "messages": [{"role": "user", "content": f"Question of {name}?"}],
                "output": f"Answer of {name}.",
                "fingerprint": b"x" * 32,
                **fields,
            }
        )
        Feedback.objects.create(
            project=queue.project, interaction=interaction, interaction_external_id=name, kind="thumbs", number=-1,
            comment="wrong fee", fingerprint=b"x" * 32, created_at=timezone.now(),
        )  # fmt: skip
        return Task.objects.create(
            project=queue.project, queue=queue, interaction=interaction, lane="risk", score=50,
            due_at=Now() + timedelta(hours=1 + place), reasons=[],
        )  # fmt: skip

    return put


@pytest.fixture
def modes(project: Project) -> dict[str, FailureMode]:
    return {mode.digit: mode for mode in FailureMode.objects.filter(project=project)}
