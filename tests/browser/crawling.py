"""All pages of a project as somebody would come to them: by the links that stand there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urljoin, urlsplit

from django.conf import settings
from django.test import Client
from django.urls import resolve
from django.urls.exceptions import Resolver404
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page

from projects.models import Project, Role, User
from tests.browser.conftest import Visitor

SKIPPED = {"projects:sign-out", "api-schema", "feedback:widget"}
FIRST = (
    "queues", "health", "interactions", "datasets", "runs", "judges", "alerts", "tasks", "rules", "disputes",
    "clusters", "members", "keys", "audit", "settings", "traces", "agreement", "labels/mine",
)  # fmt: skip
LINKS = "() => [...document.querySelectorAll('a[href]:not([rel~=ugc])')].map((one) => one.href)"


def admin_of(project: Project, visit: Callable[..., Visitor], client: Client, **options: object) -> Visitor:
    """A window with the project's admin signed in."""
    client.force_login(User.objects.get(memberships__project=project, memberships__role=Role.ADMIN))
    visitor = visit(None, **options)
    visitor.page.set_default_navigation_timeout(60_000)  # ms; pages full of hostile texts are long
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    visitor.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": visitor.base}])
    return visitor


def pages(visitor: Visitor, slug: str, *, each: int = 1) -> Iterator[tuple[str, Page, int]]:
    """Name, page and status, ``each`` at most of one address. Files to save are passed by."""
    waiting = [f"/p/{slug}/{name}/" for name in FIRST] + ["/account/", "/account/keys/"]
    seen, count = set[str](), dict[str, int]()
    while waiting:
        path = waiting.pop(0)
        try:
            name = resolve(urlsplit(path).path).view_name
        except Resolver404:
            continue
        if path in seen or count.get(name, 0) >= each or name in SKIPPED:
            continue
        seen.add(path)
        try:
            answer = visitor.page.goto(visitor.base + path)
        except PlaywrightError as error:
            if "Download is starting" not in str(error):
                raise
            continue
        if answer is None or "text/html" not in answer.headers.get("content-type", "") or answer.status == 404:
            continue
        count[name] = count.get(name, 0) + 1
        links = visitor.page.evaluate(LINKS)
        yield name, visitor.page, answer.status
        waiting += [
            urlsplit(urljoin(visitor.base, link))._replace(scheme="", netloc="", fragment="").geturl()
            for link in links
            if link.startswith(visitor.base)
        ]
