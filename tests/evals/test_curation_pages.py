"""The pages on which a dataset is curated: its terms, who approves, and what changed between versions."""

from __future__ import annotations

import json
from collections.abc import Callable

from django.test import Client

from evals import datasets, version_diff
from evals.models import CurationSetting, Dataset, DatasetVersion
from projects.models import AuditEntry, Project, User
from tests.browser.hostile_texts import TAGS
from tests.evals import golden, rich
from tests.evals.test_pages import page, queries, url

Browser = Callable[[str], Client]


def two_versions(project: Project, lead: User) -> tuple[DatasetVersion, DatasetVersion]:
    """``a`` stays, ``b`` changes, ``c`` goes, ``d`` comes."""
    first = golden.frozen(project, *(golden.content(key) for key in "abc"))
    draft = datasets.draft_of(golden.dataset(project))
    datasets.remove(draft.examples.get(key="c"), actor=lead)
    changed = golden.content("b", expected={"output": "Answer of today", "assertions": [], "label": None})
    return first, golden.frozen(project, changed, golden.content("d"), note="After the price list")


def test_a_version_shows_what_was_added_removed_and_changed_and_how(
    project: Project, people: dict[str, User], browser_of: Browser
) -> None:
    two_versions(project, people["lead"])
    text = page(browser_of("viewer"), "version-changes", "golden", 2)
    for said in ("1 added", "1 removed", "1 changed", "1 the same.", "After the price list", "Frozen: it never"):
        assert said in " ".join(text.replace("</svg>", "</svg> ").split()), said
    assert "<b>Desired answer</b>" in text
    assert "<del>b</del>" in text
    assert "<ins>of today</ins>" in text
    assert "<b>Assertions</b>" in text
    assert "<b>Verdict on the recorded answer</b>" in text
    assert "<ins>Answer d</ins>" in text
    assert "<del>Answer c</del>" in text
    assert "Question a" not in text


def test_changes_are_told_from_any_earlier_version_and_of_none_before_the_first(
    project: Project, people: dict[str, User], browser_of: Browser
) -> None:
    two_versions(project, people["lead"])
    golden.frozen(project, golden.content("e"))
    client = browser_of("viewer")
    assert "Question d" not in page(client, "version-changes", "golden", 3)
    assert "Question d" in page(client, "version-changes", "golden", 3, since="1")
    for odd in ("3", "-1", "first", "²", "9" * 40):
        assert "v2 to v3" in page(client, "version-changes", "golden", 3, since=odd), odd
    assert "There is no earlier one" in page(client, "version-changes", "golden", 1)
    assert client.get(url("version-changes", "golden", 4)).status_code == 404
    assert client.get(url("version-changes", "nowhere", 1)).status_code == 404


def test_of_a_draft_only_what_is_approved_counts(project: Project, people: dict[str, User]) -> None:
    first = golden.frozen(project, golden.content("a"))
    datasets.add_examples(golden.dataset(project), [golden.content("b"), golden.content("c")], actor=None)
    draft = datasets.draft_of(golden.dataset(project))
    datasets.approve(draft.examples.get(key="b"), actor=people["lead"])
    found = version_diff.between(draft, first)
    assert (found.counts, found.same) == ({"changed": 0, "added": 1, "removed": 0}, 1)
    assert [row.example.key for row in found.rows] == ["b"]


def test_a_proposal_that_would_change_an_example_is_no_change_before_it_is_approved(project: Project) -> None:
    first = golden.frozen(project, golden.content("a"), golden.content("b"))
    newer = golden.content("b", expected={"output": "Other"})
    datasets.add_examples(golden.dataset(project), [newer], actor=None)
    found = version_diff.between(datasets.draft_of(golden.dataset(project)), first)
    assert (found.counts, found.same) == ({"changed": 0, "added": 0, "removed": 0}, 2)


def test_the_page_of_a_draft_and_the_page_of_its_changes_tell_the_same_number(
    project: Project, browser_of: Browser
) -> None:
    golden.frozen(project, golden.content("a"))
    datasets.add_examples(golden.dataset(project), [golden.content("b")], actor=None)
    tagged = golden.content("a", tags=["vip"])
    datasets.add_examples(golden.dataset(project), [tagged, golden.content("c")], actor=None, approve=True)
    text = " ".join(page(browser_of("viewer"), "dataset-detail", "golden").split())
    assert "+1<small>added" in text
    assert "0 removed, 1 changed." in text


def test_a_long_list_of_changes_is_read_page_by_page_and_loses_none(project: Project, people: dict[str, User]) -> None:
    size = version_diff.PAGE
    golden.frozen(project, *(golden.content(f"old-{n:03}") for n in range(size + 1)))
    draft = datasets.draft_of(golden.dataset(project))
    for example in draft.examples.all():
        datasets.remove(example, actor=people["lead"])
    second = golden.frozen(project, *(golden.content(f"new-{n:03}") for n in range(size + 1)))
    seen, after = [], ""
    for _ in range(4):
        found = version_diff.between(second, second.dataset.versions.get(number=1), after)
        seen += [(row.kind, row.example.key) for row in found.rows]
        after = found.next_after
        if not after:
            break
    assert seen == [("added", f"new-{n:03}") for n in range(size + 1)] + [
        ("removed", f"old-{n:03}") for n in range(size + 1)
    ]


def test_what_users_wrote_stays_text_among_the_changes(project: Project, browser_of: Browser) -> None:
    text = rich.HOSTILE + " ".join(TAGS[:20])
    said = {"messages": [{"role": "user", "content": text}], "documents": [], "tools": [], "parameters": {}}
    golden.frozen(project, golden.content("a"), golden.content("b", input=said), note=text[:300])
    changed = golden.content("b", input=said, expected={"output": text}, tags=[text[:200]], metadata={"x": text})
    golden.frozen(project, changed, golden.content("c", input=said, expected={"output": text}))
    body = page(browser_of("viewer"), "version-changes", "golden", 2)
    assert "<script>x" not in body.lower()
    assert "<iframe" not in body
    assert "&lt;script&gt;" in body


def test_the_changes_take_as_many_queries_for_twice_the_rows(project: Project, browser_of: Browser) -> None:
    client, counted = browser_of("viewer"), []
    golden.frozen(project, golden.content("first"))
    for size in (5, 10):
        version = golden.frozen(project, *(golden.content(f"{size}-{n}") for n in range(size)))
        address = url("version-changes", "golden", version.number)
        client.get(address)
        counted.append(queries(client, address))
    assert counted[0] == counted[1] <= 20


def test_terms_are_said_by_a_plain_form_and_recorded(project: Project, browser_of: Browser) -> None:
    lead, hostile = browser_of("lead"), "<script>x()</script>\0 CC-BY-4.0"
    sent = {"description": " Fees\n and refunds ", "licence": hostile, "consent": "c" * 400}
    answer = lead.post(url("dataset-terms", "golden"), sent, follow=True).content.decode()
    dataset = golden.dataset(project)
    assert (dataset.description, len(dataset.consent)) == ("Fees and refunds", 300)
    assert dataset.licence == "<script>x()</script>\ufffd CC-BY-4.0"
    assert "The next version is frozen with it." in answer
    assert "<script>x" not in answer
    entry = AuditEntry.objects.get(project=project, action="dataset.terms")
    assert "CC-BY-4.0" in json.dumps(entry.detail)


def test_only_curators_say_the_terms_and_only_who_leads_asks_for_a_second_person(
    project: Project, browser_of: Browser
) -> None:
    for who, terms, setting in (("viewer", 403, 403), ("reviewer", 403, 403), ("engineer", 302, 403)):
        client = browser_of(who)
        assert client.post(url("dataset-terms", "golden"), {"licence": who}).status_code == terms, who
        assert client.post(url("curation-settings"), {"second_person": "yes"}).status_code == setting, who
        assert client.get(url("dataset-terms", "golden")).status_code == 405
    assert golden.dataset(project).licence == "engineer"
    assert browser_of("lead").post(url("dataset-terms", "nowhere"), {}).status_code == 404


def test_a_second_person_is_asked_for_and_waived_by_the_same_button(project: Project, browser_of: Browser) -> None:
    lead = browser_of("lead")
    text = lead.post(url("curation-settings"), {"second_person": "yes"}, follow=True).content.decode()
    assert 'name="second_person" value="no"' in text
    assert "A second person approves: not who voted for" in text
    lead.post(url("curation-settings"), {"second_person": "yes"})
    lead.post(url("curation-settings"), {"second_person": "no"})
    assert not CurationSetting.objects.get(project=project).second_person
    assert AuditEntry.objects.filter(action="curation.second_person").count() == 2, "nothing changed the second time"
    assert 'name="second_person" value="no"' not in page(browser_of("engineer"), "dataset-list")
    assert 'name="second_person"' not in page(browser_of("engineer"), "dataset-list")


def test_a_dataset_of_each_kind_is_made_by_the_form_and_says_what_it_is(project: Project, browser_of: Browser) -> None:
    lead = browser_of("lead")
    for kind, shown in Dataset.Kind.choices:
        lead.post(url("dataset-new"), {"name": f"My {kind}", "kind": kind})
        assert f"<li>{shown}</li>" in page(lead, "dataset-detail", f"my-{kind}")
    refused = lead.post(url("dataset-new"), {"name": "Silver", "kind": "silver"}, follow=True).content.decode()
    assert "A kind is one of golden, adversarial, reference." in refused
    assert not Dataset.objects.filter(slug="silver").exists()
