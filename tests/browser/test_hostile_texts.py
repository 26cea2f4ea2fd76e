"""Every text field of the database full of hostile texts, and every page that shows any of it in Chromium.

Nothing may run, nothing may be asked of another host, and no element may stand on a page that we did not write. Fields
without a limit hold all cases at once; shorter ones hold some in each row, and others in each turn. A run takes one
turn; ``--nightly`` takes as many as it needs for every case to have stood in every field on every page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import DatabaseError, connection, models, transaction
from django.test import Client

from projects.models import Project
from reviewhub.sample import load as sample
from tests.browser import crawling, hostile_texts
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser
OWN = ("projects", "feedback", "annotations", "evals", "monitoring")
PAGES = 40  # there are at least: fewer mean that the links lead nowhere
# Columns that hold no words of people or models, or that the database holds to a form of their own.
MEANT = re.compile(
    r"slug|digit|token|email|password|theme|checksum|digest|fingerprint|key$|^key_|_hash|prefix|language|seed|kind|"
    r"state|status|source|lane|purpose|icon|timezone|metric$|icon|currency|split$|cursor|url$|secret|method|direction"
)
WATCH = """
  window.ran = [];
  window.x = (...what) => { window.ran.push('ran ' + what); };
  window.alert = window.confirm = window.prompt = window.x;
  document.addEventListener('securitypolicyviolation', (event) => {
    window.ran.push(`${event.violatedDirective} ${event.blockedURI}`);
  });
"""
# What no text may put on a page: handlers, addresses that run or load, and elements that we do not use.
LOOK = """() => {
  const found = [...window.ran], tell = (what, text) => found.push(`${what} ${text}`.slice(0, 140));
  const odd = 'plaintext, xmp, listing, portal, marquee, object, embed, iframe, applet, frameset, math, base, isindex, '
    + 'animate, foreignObject, audio, video, picture';
  const loads = /^(src|srcset|poster|data|background|action|formaction|ping|xlink:href|style)$/;
  const bad = /evil|x\\(\\)|^\\s*(java|vb)script:/i;
  for (const one of document.querySelectorAll(odd)) tell('element', one.outerHTML);
  for (const one of document.scripts) if (!one.src.startsWith(location.origin)) tell('script', one.outerHTML);
  for (const one of document.querySelectorAll('*')) for (const { name, value } of one.attributes) {
    if (name.startsWith('on') || name.startsWith('hx-on')) tell('handler', `${name}=${value}`);
    if (loads.test(name) && bad.test(value)) tell(one.tagName, `${name}=${value}`);
    if (name !== 'href' || one.tagName === 'use') continue;
    if (one.tagName !== 'A' && !one.href.startsWith(location.origin)) tell(one.tagName, value);
    if (one.tagName === 'A' && !/^(https?|mailto):$/.test(one.protocol)) tell('link', value);
  }
  return found;
}"""


def texts_of(model: type[models.Model]) -> Iterator[tuple[models.Field[Any, Any], int | None]]:
    """Columns of words, with their limit."""
    unique = {
        name for one in model._meta.constraints if isinstance(one, models.UniqueConstraint) for name in one.fields
    }
    for field in model._meta.local_concrete_fields:
        inner = field.base_field if isinstance(field, ArrayField) else field
        if field.primary_key or field.unique or field.name in unique or MEANT.search(field.name) or field.choices:
            continue
        if isinstance(inner, models.CharField | models.TextField) and not inner.choices:
            yield field, inner.max_length


def fill(turn: int) -> list[str]:
    """Puts hostile texts into every column of words; returns those that the database did not let be changed."""
    refused = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            if model._meta.app_label not in OWN:
                continue
            for field, limit in texts_of(model):
                if limit is None and turn:
                    continue  # has them all since the first turn
                cases = (
                    hostile_texts.packed(limit) if limit else [hostile_texts.together(first=n) for n in (0, 57, 191)]
                )
                value = "(%s::text[])[1 + (row.n + %s) %% %s]"
                if isinstance(field, ArrayField):
                    value = f"ARRAY[{value}]"
                table, column = model._meta.db_table, field.column
                statement = (
                    f'UPDATE "{table}" SET "{column}" = {value} FROM (SELECT ctid AS at, row_number() OVER () AS n '
                    f'FROM "{table}") AS row WHERE "{table}".ctid = row.at AND "{column}"::text NOT IN (\'\', \'{{}}\')'
                )
                try:
                    with transaction.atomic():
                        cursor.execute("SET LOCAL session_replication_role = replica")  # history refuses to be changed
                        cursor.execute(statement, [cases, turn, len(cases)])
                except DatabaseError as error:
                    refused.append(f"{table}.{column}: {error}".splitlines()[0])
    return refused


def poison_json() -> None:
    """The same in every JSON that interactions bring: each text in it, at any depth."""
    everything = hostile_texts.together()
    small = hostile_texts.packed(120)

    def poisoned(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: poisoned(entry, key) for key, entry in value.items()}
        if isinstance(value, list):
            return [poisoned(entry, name) for entry in value]
        if not isinstance(value, str) or name in {
            "role",
            "type",
            "id",
            "op",
            "field",
            "kind",
            "icon",
            "target",
            "rule",
        }:
            return value
        return everything if name in {"content", "output", "text"} else small[len(value) % len(small)]

    for label, columns in {
        "feedback.Interaction": ("messages", "documents", "metadata", "prompt", "parameters", "tools", "outcome"),
        "feedback.Span": ("input", "output", "attributes"),
        "feedback.Feedback": ("metadata",),
        "annotations.Task": ("reasons",),
        "evals.Example": ("input", "metadata"),
    }.items():
        model = apps.get_model(label)
        names = [name for name in columns if name in {field.name for field in model._meta.fields}]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            for row in model._default_manager.all():
                for name in names:
                    value = getattr(row, name)
                    extra = {f"<img src=q onerror=x()>{name}": hostile_texts.packed(120)[0]}
                    new = poisoned(value)
                    setattr(
                        row,
                        name,
                        {**new, **extra} if isinstance(new, dict) and name in {"metadata", "attributes"} else new,
                    )
                model._default_manager.filter(pk=row.pk).update(**{name: getattr(row, name) for name in names})


@pytest.fixture
def hostile(transactional_db: None) -> Project:
    """The sample, cut to a few interactions of each sort, with every word in it replaced."""
    project = sample.load(passwords={person.email: "a long enough password" for person in sample.SAMPLE_USERS})
    mine = project.interactions
    keep = {*mine.filter(labels__isnull=False).order_by("pk").values_list("pk", flat=True)[:40]}
    keep |= {*mine.filter(tasks__state="open").order_by("pk").values_list("pk", flat=True)[:20]}
    keep |= {*mine.filter(cluster_membership__isnull=False).order_by("pk").values_list("pk", flat=True)[:10]}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        mine.exclude(pk__in=keep).delete()
    poison_json()
    return project


@pytest.mark.parametrize("turns", [pytest.param(1, id="some"), pytest.param(110, id="all", marks=pytest.mark.nightly)])
def test_nothing_runs_and_nothing_is_loaded_whatever_is_written_in_any_field(
    turns: int, hostile: Project, visit: Callable[..., Visitor], client: Client
) -> None:
    visitor = crawling.admin_of(hostile, visit, client)
    visitor.context.add_init_script(WATCH)
    visitor.page.on("dialog", lambda dialog: (visitor.problems.append(f"dialog {dialog.message}"), dialog.dismiss()))
    seen, found = set[str](), []
    for turn in range(turns):
        assert fill(turn) == []
        for name, page, status in crawling.pages(visitor, hostile.slug):
            seen.add(name)
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            found += [f"turn {turn}, {page.url}: {what}" for what in page.evaluate(LOOK)]
            if status >= 500:
                found.append(f"turn {turn}, {page.url}: answers {status}")
    assert found == []
    assert (visitor.foreign, visitor.problems) == ([], [])
    assert len(seen) >= PAGES
    assert len(hostile_texts.CASES) >= 200
