"""Support by meaning: how it is mixed with wording, that it is off until it is wanted, and the model where it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint

import pytest

from evals import detectors as package
from evals import embedder, tasks
from evals.detectors import Subject, detectors, groundedness
from evals.detectors.groundedness_embedding import BY_MEANING, MOST_SENTENCES, MOST_SOURCES, made
from feedback.models import Score
from projects.models import Project
from tests.conftest import Api
from tests.evals.test_judge_pages import BrowserOf, page

DOCUMENT = "The account fee is 4.90 euros a month. It is charged on the first working day."
ANSWER = "The fee comes to 4.90 euros a month. Cancellation of contracts needs a notarised letter."
asked: list[tuple[list[str], list[str]]] = []


def by_first_letters(texts: Sequence[str], sources: Sequence[str]) -> list[float]:
    """A stand-in for the model: near is what begins alike."""
    asked.append((list(texts), list(sources)))
    return [0.9 if any(source[:3] == text[:3] for source in sources) else 0.1 for text in texts]


detector = made(by_first_letters)


@pytest.fixture(autouse=True)
def _asks_nobody_yet() -> None:
    asked.clear()


def test_wording_and_meaning_are_mixed_and_the_far_sentence_is_shown() -> None:
    subject = Subject(output=ANSWER, documents=(DOCUMENT,))
    finding, lexical = detector.detect(subject), groundedness.detect(subject)
    assert finding is not None
    assert lexical is not None
    assert finding.value == pytest.approx((1 - BY_MEANING) * lexical.value + BY_MEANING * 0.5, abs=1e-4)
    assert finding.detail == {**lexical.detail, "meaning": 0.5}
    assert finding.explanation.endswith("are 0.50 alike to the nearest of the documents, 1 of 2 under 0.5.")
    (span,) = finding.spans
    assert ANSWER[span["start"] : span["end"]].startswith("Cancellation")
    assert asked[0][1] == ["The account fee is 4.90 euros a month.", "It is charged on the first working day."]


@pytest.mark.parametrize(
    "subject",
    [Subject(output=ANSWER), Subject(output="Yes.", documents=(DOCUMENT,)), Subject(output="", documents=("",))],
)
def test_where_wording_says_nothing_the_model_is_not_run(subject: Subject) -> None:
    assert detector.detect(subject) is None
    assert asked == []


def test_long_texts_take_a_bounded_number_of_runs_and_keep_what_shares_words() -> None:
    filler = "".join(f"Sentence number {place} tells of whales. " for place in range(500))
    detector.detect(Subject(output="The fee is 4.90 euros. " * 200, documents=(filler + DOCUMENT,)))
    ((texts, sources),) = asked
    assert (len(texts), len(sources)) == (MOST_SENTENCES, MOST_SOURCES)
    assert "The account fee is 4.90 euros a month." in sources


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if a package had brought the detector, which then is off like the one of the extra."""
    entry = EntryPoint("near", "tests.evals.test_groundedness_embedding:detector", package.GROUP)
    monkeypatch.setattr(package, "entry_points", lambda group: [entry] if group == package.GROUP else [])
    detectors.cache_clear()
    yield
    detectors.cache_clear()


@pytest.mark.usefixtures("_installed")
def test_it_is_off_until_the_project_switches_it_on(project: Project, sk: Api) -> None:
    address = "/api/v1/detectors/groundedness_embedding"
    body = {"input": "What is the fee?", "output": ANSWER, "documents": [{"id": "kb-1", "content": DOCUMENT}]}
    assert sk.get(address)[1]["enabled"] is False
    assert sk.patch(address, {"threshold": 0.3})[1]["enabled"] is False  # a threshold switches nothing on
    sk.post("/api/v1/interactions", {"id": "before", **body})
    tasks.analyse()
    assert sk.patch(address, {"enabled": True})[1]["enabled"] is True
    sk.post("/api/v1/interactions", {"id": "after", **body})
    tasks.analyse()
    found = Score.objects.filter(name="groundedness_embedding").values_list("interaction_external_id", flat=True)
    assert list(found) == ["after"]


@pytest.mark.usefixtures("project")
def test_the_page_says_how_to_install_what_is_not_there(browser_of: BrowserOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder, "available", lambda: False)
    assert embedder.INSTALL in page(browser_of("viewer"), "judges/")
    monkeypatch.setattr(embedder, "available", lambda: True)
    assert embedder.INSTALL not in page(browser_of("viewer"), "judges/")


@pytest.mark.skipif(not embedder.available(), reason=f"The extra “embeddings” is not installed: {embedder.INSTALL}")
def test_the_model_knows_what_means_the_same() -> None:
    same, other = embedder.nearest(
        ["You can end the contract within two weeks.", "Whales sing to find each other."],
        ["There is a right of withdrawal of fourteen days.", "The fee is 4.90 euros.", ""],
    )
    assert same > other + 0.15
