"""The review screen in a real browser: by keyboard, with what can go wrong, and with hostile texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.sessions.models import Session
from django.db.models.functions import Now
from playwright.sync_api import Page, Route, expect

from annotations.models import Annotation, Claim, FailureMode, Label, Queue, Task
from feedback.models import Span
from projects.models import User
from tests.browser.conftest import Visitor
from tests.projects.test_rendering import HOSTILE

REVIEW = "/p/acme/queues/negative-feedback/review/"
pytestmark = pytest.mark.browser


@pytest.fixture
def at_work(visit: Callable[..., Visitor], wait_in: Callable[..., Task]) -> Visitor:
    """A reviewer with the first of two items on the screen."""
    wait_in("first", output="The fee is ten euros a month.")
    wait_in("second")
    visitor = visit("reviewer")
    visitor.open(REVIEW)
    return visitor


def shows(page: Page, name: str) -> None:
    """The item is on the screen, and what was saved behind it has arrived."""
    expect(page.locator(".turn.user")).to_contain_text(f"Question of {name}?")
    page.wait_for_timeout(160)  # keys within 150 ms of a swap are dropped on purpose
    page.wait_for_function("() => !Object.keys(localStorage).some((key) => key.startsWith('reviewhub:out:'))")


def test_a_pass_takes_one_key(at_work: Visitor) -> None:
    at_work.page.keyboard.press("p")
    shows(at_work.page, "second")
    vote = Annotation.objects.get()
    assert (vote.verdict, vote.primary_category, vote.severity) == ("pass", None, None)
    assert Label.objects.get().verdict == "pass"
    expect(at_work.page.locator("#toast")).to_contain_text("Saved: Pass.")
    assert at_work.problems == []


def test_a_classified_failure_takes_three_keys(at_work: Visitor, modes: dict[str, FailureMode]) -> None:
    for key in ("f", "2", "Enter"):
        at_work.page.keyboard.press(key)
    shows(at_work.page, "second")
    vote = Annotation.objects.get()
    assert (vote.verdict, vote.primary_category, vote.severity) == ("fail", modes["2"], modes["2"].default_severity)
    assert vote.desired_output == ""


def test_the_first_failure_mode_pressed_is_the_main_one(at_work: Visitor, modes: dict[str, FailureMode]) -> None:
    page = at_work.page
    for key in ("f", "=", "0", "-"):
        page.keyboard.press(key)
    expect(page.locator(".cat.is-first")).to_contain_text(modes["="].label)
    page.keyboard.press("=")  # taken back: the next one pressed leads
    expect(page.locator(".cat.is-first")).to_contain_text(modes["0"].label)
    page.keyboard.press("Shift+4")
    page.keyboard.press("Enter")
    shows(page, "second")
    vote = Annotation.objects.get()
    assert (vote.primary_category, vote.categories, vote.severity) == (modes["0"], [modes["-"].slug], 4)


def test_digits_go_by_place_so_that_azerty_works(at_work: Visitor) -> None:
    key = "{key: 'é', code: 'Digit2', bubbles: true}"  # what a French keyboard sends
    at_work.page.evaluate(f"document.body.dispatchEvent(new KeyboardEvent('keydown', {key}))")
    expect(at_work.page.locator("[name=categories][data-key='2']")).to_be_checked()


def test_a_correction_is_typed_compared_and_saved(at_work: Visitor) -> None:
    page = at_work.page
    for key in ("f", "2", "e"):
        page.keyboard.press(key)
    page.keyboard.press("Control+a")
    page.keyboard.type("The fee is four euros a month.")
    expect(page.locator("#diff del")).to_have_text("ten")
    expect(page.locator("#diff ins")).to_have_text("four")
    expect(page.locator("#diff-count")).to_have_text("1 words removed, 1 added")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.keyboard.type("see price list")
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    page.keyboard.press("Control+Enter")
    shows(page, "second")
    vote = Annotation.objects.get()
    assert (vote.desired_output, vote.note, vote.golden) == ("The fee is four euros a month.", "see price list", True)


def test_enter_in_the_note_saves_and_does_not_leave(at_work: Visitor) -> None:
    page = at_work.page
    for key in ("f", "1", "n"):
        page.keyboard.press(key)
    page.keyboard.type("because")
    page.keyboard.press("Enter")
    shows(page, "second")
    assert Annotation.objects.get().note == "because"


def test_undo_brings_the_item_back_with_every_word(at_work: Visitor) -> None:
    page = at_work.page
    for key in ("f", "3", "n"):
        page.keyboard.press(key)
    page.keyboard.type("my words")
    page.keyboard.press("Control+Enter")
    shows(page, "second")
    page.keyboard.press("z")
    shows(page, "first")
    expect(page.locator("#note")).to_have_value("my words")
    expect(page.locator("[name=verdict][value=fail]")).to_be_checked()
    expect(page.locator(".cat.is-first kbd")).to_have_text("3")
    assert not Label.objects.filter(superseded_at=None).exists()
    page.keyboard.press("Enter")
    shows(page, "second")
    expect(page.locator("#toast")).to_contain_text("Saved: Fail")
    assert Label.objects.get(superseded_at=None).note == "my words"


def test_skip_asks_why_in_one_key(at_work: Visitor) -> None:
    page = at_work.page
    page.keyboard.press(".")
    expect(page.locator("#skip")).to_be_visible()
    page.keyboard.press("2")
    shows(page, "second")
    assert Claim.objects.get(state="skipped").skip_reason == "unclear"
    assert not Annotation.objects.exists()


def test_keys_pressed_while_the_page_is_still_loading_count(
    visit: Callable[..., Visitor], wait_in: Any, modes: dict[str, FailureMode]
) -> None:
    wait_in("first")
    wait_in("second")
    visitor, held = visit("reviewer"), []
    visitor.page.route("**/review*.js*", lambda route: held.append(route))
    visitor.page.goto(visitor.base + REVIEW, wait_until="commit")
    page = visitor.page
    page.locator("#note").wait_for()
    page.wait_for_function("() => window.hub")
    for key in ("f", "8", "3", "n"):
        page.keyboard.press(key)
    page.keyboard.type("early ")
    held[0].continue_()
    page.wait_for_function("() => window.hub.keys.s")
    page.keyboard.type("bird")
    expect(page.locator(".cat.is-first")).to_have_count(1)
    page.keyboard.press("Control+Enter")
    shows(page, "second")
    vote = Annotation.objects.get()
    assert (vote.verdict, vote.note) == ("fail", "early bird")
    assert {vote.primary_category.slug, *vote.categories} == {modes["8"].slug, modes["3"].slug}


def test_a_draft_survives_a_reload(at_work: Visitor) -> None:
    page = at_work.page
    for key in ("f", "5", "n"):
        page.keyboard.press(key)
    page.keyboard.type("half a thou")
    expect(page.locator("#saved")).to_contain_text("Draft")
    assert Claim.objects.earliest("pk").draft["note"] == "half a thou"
    page.keyboard.type("ght")
    page.reload()  # before the next draft is due: sent on leaving, or brought back from this device
    expect(page.locator("#note")).to_have_value("half a thought")
    expect(page.locator("[name=verdict][value=fail]")).to_be_checked()
    expect(page.locator(".cat.is-first kbd")).to_have_text("5")


def test_a_double_submit_counts_once(at_work: Visitor) -> None:
    page = at_work.page
    page.keyboard.press("f")
    page.keyboard.press("2")
    form = page.evaluate("Object.fromEntries(new FormData(document.getElementById('labels')))")
    action = page.evaluate("document.getElementById('labels').action")
    page.evaluate("for (let i = 0; i < 3; i++) document.getElementById('labels').requestSubmit()")
    shows(page, "second")
    again = page.request.post(action, form=form, headers={"Referer": at_work.base}, max_redirects=0)
    assert again.status == 302
    assert Annotation.objects.count() == 1


def test_a_key_pressed_too_soon_after_a_swap_judges_nothing(at_work: Visitor) -> None:
    page = at_work.page
    page.keyboard.press("p")
    expect(page.locator(".turn.user")).to_contain_text("second")
    page.evaluate("hub.guard = performance.now() + 60_000")  # 150 ms pass before a busy machine has pressed
    page.keyboard.press("p")
    page.wait_for_timeout(200)
    assert Annotation.objects.count() == 1


def test_what_does_not_fit_is_sent_back_with_every_word(at_work: Visitor) -> None:
    page = at_work.page
    for key in ("f", "9", "e"):  # tool misuse is harm, and harm needs a note
        page.keyboard.press(key)
    page.keyboard.type("Kept. ")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#note-error")).to_be_visible()
    expect(page.locator("#note")).to_be_focused()
    assert page.locator("#desired").input_value().startswith("Kept. ")
    expect(page.locator(".cat.is-first kbd")).to_have_text("9")
    assert not Annotation.objects.exists()
    page.keyboard.type("It says it closed the account")
    page.wait_for_timeout(160)  # the guard after a swap drops keys that save
    page.keyboard.press("Enter")
    shows(page, "second")
    assert Annotation.objects.get().severity == 1


def test_the_page_says_that_it_is_offline_and_sends_the_same_submission_again(at_work: Visitor) -> None:
    page = at_work.page
    page.keyboard.press("f")
    page.keyboard.press("2")
    at_work.context.set_offline(True)
    page.keyboard.press("Enter")
    # Beside the item, or in a corner where the next one was ready before the line broke.
    expect(page.get_by_role("heading", name="No connection")).to_be_visible()
    at_work.context.set_offline(False)
    page.get_by_role("button", name="Try now").click()
    shows(page, "second")
    assert Annotation.objects.count() == 1


def test_a_server_error_loses_nothing(at_work: Visitor) -> None:
    page, answers = at_work.page, [500, 503]

    def fail_twice(route: Route) -> None:
        route.fulfill(status=answers.pop(), body="no") if answers else route.continue_()

    page.route("**/label/", fail_twice)
    for key in ("f", "2", "Enter"):
        page.keyboard.press(key)
    # Beside the item, or in a corner where the next one was ready.
    expect(page.get_by_role("heading", name="The server could not save this")).to_be_visible()
    page.get_by_role("button", name="Try now").click()
    page.get_by_role("button", name="Try now").click()
    shows(page, "second")
    assert Annotation.objects.count() == 1


def test_an_expired_sign_in_keeps_the_text_on_the_page(visit: Callable[..., Visitor], wait_in: Any) -> None:
    wait_in("first")  # the only one: none is ready behind it, so saving waits for the server
    visitor = visit("reviewer")
    page = visitor.open(REVIEW)
    visitor.rest()  # a request on its way would keep the session alive
    page.keyboard.press("n")
    page.keyboard.type("not lost")
    expect(page.locator("#saved")).to_contain_text("Draft")
    Session.objects.all().delete()
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("Your sign-in has expired")
    expect(page.locator("#note")).to_have_value("not lost")


def test_a_label_saved_behind_an_expired_sign_in_waits_on_this_device(
    at_work: Visitor, visit: Callable[..., Visitor]
) -> None:
    page = at_work.page
    page.wait_for_function("() => hub.ready()")
    Session.objects.all().delete()
    page.keyboard.press("p")
    expect(page.locator(".turn.user")).to_contain_text("second")
    expect(page.locator("#late")).to_contain_text("Your last label is not saved yet")
    assert not Annotation.objects.exists()
    at_work.context.add_cookies(visit("reviewer").context.cookies())  # signed in again in another tab
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.locator("#toast")).to_contain_text("Saved: Pass")
    assert Annotation.objects.get().verdict == "pass"


def test_a_lost_reservation_is_said_and_the_item_taken_back(at_work: Visitor) -> None:
    page = at_work.page
    claim = Claim.objects.earliest("pk")
    page.keyboard.press("n")
    page.keyboard.type("long thought")
    expect(page.locator("#saved")).to_contain_text("Draft")
    Claim.objects.filter(pk=claim.pk).update(state="expired", ended_at=Now())
    Task.objects.filter(pk=claim.task_id).update(taken=0)
    page.keyboard.type(", continued")
    expect(page.locator("#notice")).to_contain_text("Your reservation has ended")
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator("#notice")).not_to_contain_text("Your reservation")
    shows(page, "first")
    expect(page.locator("#note")).to_have_value("long thought, continued")
    assert Claim.objects.filter(state="leased", task=claim.task_id).exists()


def test_leaving_gives_an_untouched_item_back(at_work: Visitor) -> None:
    at_work.page.wait_for_function("() => hub.ready()")
    at_work.page.keyboard.press("Escape")
    at_work.page.wait_for_url("**/p/acme/queues/")
    assert Counter(Claim.objects.values_list("state", flat=True)) == {"released": 2}  # with the one leased ahead


def test_leaving_while_the_next_item_is_being_leased_gives_both_back(
    visit: Callable[..., Visitor], wait_in: Callable[..., Task]
) -> None:
    wait_in("first")
    wait_in("second")
    visitor, held = visit("reviewer"), []
    visitor.page.route("**/ahead/", lambda route: held.append(route))
    page = visitor.open(REVIEW)
    expect(page.locator(".turn.user")).to_contain_text("first")
    while not held:
        page.wait_for_timeout(10)
    page.keyboard.press("Escape")
    held[0].continue_()
    page.wait_for_url("**/p/acme/queues/")
    assert Counter(Claim.objects.values_list("state", flat=True)) == {"released": 2}


def test_leaving_keeps_what_was_written(at_work: Visitor) -> None:
    page = at_work.page
    page.keyboard.press("n")
    page.keyboard.type("later")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.wait_for_url("**/p/acme/queues/")
    page.keyboard.press("Enter")
    shows(page, "first")
    expect(page.locator("#note")).to_have_value("later")


def test_the_trace_opens_beside_the_item_and_nothing_written_is_left(
    visit: Callable[..., Visitor], wait_in: Callable[..., Task]
) -> None:
    task = wait_in("first")
    for n in range(3):
        Span.objects.create(
            interaction=task.interaction, external_id=f"s{n}", name=f"step {n}", kind="tool", input=f"secret {n}"
        )
    visitor = visit("lead")
    page = visitor.open(REVIEW)
    page.keyboard.press("n")
    page.keyboard.type("half a")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    drawer = page.get_by_role("dialog", name="Trace")
    expect(drawer).to_contain_text("secret 0")
    drawer.get_by_role("link", name="step 1", exact=True).click()
    expect(drawer.locator("#span-detail")).to_contain_text("secret 1")
    page.keyboard.press("ArrowDown")
    expect(drawer.locator("#span-detail")).to_contain_text("secret 2")
    page.keyboard.press("Escape")
    expect(drawer).not_to_be_visible()
    expect(page.locator("#note")).to_have_value("half a")
    assert page.url.endswith("/review/")
    assert visitor.problems == []


def test_z_undoes_one_label_after_the_other(visit: Callable[..., Visitor], wait_in: Callable[..., Task]) -> None:
    names = ["first", "second", "third"]
    for name in [*names, "last"]:
        wait_in(name)
    page = visit("reviewer").open(REVIEW)
    for name in names:
        shows(page, name)
        page.keyboard.press("p")
    shows(page, "last")
    assert Annotation.objects.filter(state="counted").count() == 3
    for name in reversed(names):
        page.keyboard.press("z")
        shows(page, name)
        expect(page.locator("[name=verdict][value=pass]")).to_be_checked()
    assert not Annotation.objects.filter(state="counted").exists()
    page.keyboard.press("Backspace")  # means nothing outside a field
    expect(page.locator(".turn.user")).to_contain_text("first")


def test_single_keys_can_be_turned_off(visit: Callable[..., Visitor], wait_in: Any, people: dict[str, User]) -> None:
    wait_in("first")
    User.objects.filter(pk=people["reviewer"].pk).update(single_keys=False)
    visitor = visit("reviewer")
    page = visitor.open(REVIEW)
    page.keyboard.press("p")
    page.keyboard.press("f")
    page.wait_for_timeout(100)
    assert not Annotation.objects.exists()
    expect(page.locator("[name=verdict]:checked")).to_have_count(0)


def test_everything_works_without_scripts(visit: Callable[..., Visitor], wait_in: Any, modes: Any) -> None:
    wait_in("first", output="one\ntwo")
    wait_in("second")
    page = visit("reviewer", java_script_enabled=False).open("/p/acme/queues/")
    page.get_by_role("link", name="Start reviewing", exact=False).first.click()
    page.get_by_role("button", name="Save and next").click()
    expect(page.locator("#verdict-error")).to_be_visible()
    page.get_by_role("radio", name="Fail").check()
    page.get_by_role("checkbox", name=modes["2"].label).check()
    page.get_by_label("Note").fill("by form")
    page.get_by_role("button", name="Save and next").click()
    expect(page.locator(".turn.user")).to_contain_text("second")
    expect(page.locator("#messages")).to_contain_text("Saved: Fail")
    vote = Annotation.objects.get()
    assert (vote.primary_category, vote.note, vote.desired_output) == (modes["2"], "by form", "")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Note")).to_have_value("by form")
    page.get_by_role("button", name="Skip").click()
    page.get_by_role("button", name="Too long").click()
    expect(page.locator(".turn.user")).to_contain_text("second")
    page.get_by_role("button", name="Leave review").click()
    expect(page.get_by_role("heading", name="Queues")).to_be_visible()


def test_a_blind_queue_hides_what_others_think(visit: Callable[..., Visitor], wait_in: Any, queue: Queue) -> None:
    wait_in("first", model="secret-model", prompt_name="secret-prompt")
    Queue.objects.filter(pk=queue.pk).update(blind=True)
    page = visit("lead").open(REVIEW)
    for hint in ("wrong fee", "secret-model", "secret-prompt", "Open trace"):
        assert hint not in page.content()
    expect(page.locator(".why")).to_contain_text("Hidden")


def test_hostile_texts_run_nothing_and_load_nothing(visit: Callable[..., Visitor], wait_in: Any) -> None:
    call = {"function": {"name": "<svg onload=alert(1)>", "arguments": "<script>alert(1)</script>"}}
    everything = "\n\n".join(text for text in HOSTILE if "\x00" not in text and len(text) < 400)
    task = wait_in(
        "first", output=everything, model="<script>alert(1)</script>", feature="<img src=//evil.example onerror=x()>",
        messages=[
            {"role": "<b>", "content": everything},
            {"role": "system", "content": everything},
            {"role": "assistant", "content": everything, "tool_calls": [call]},
            {"role": "user", "content": everything + "\n\nQuestion of first?"},
        ],
        documents=[{"title": everything, "content": everything, "metadata": {"section": "<script>alert(1)</script>"}}],
    )  # fmt: skip
    task.interaction.feedback.update(comment="</q><script>alert(1)</script>" + everything)
    wait_in("second")
    visitor = visit("reviewer")
    page = visitor.page
    page.on("dialog", lambda dialog: visitor.problems.append(f"dialog: {dialog.message}"))
    visitor.open(REVIEW)
    page.keyboard.press("c")
    page.locator(".fold summary").first.click()
    page.wait_for_timeout(300)
    assert (
        page.locator("#item :is(script, img, iframe, object, embed, style, form, input, [onclick], [onerror])").count()
        == 0
    )
    assert visitor.foreign == []
    assert visitor.problems == []
    for key in ("f", "1", "Enter"):
        page.keyboard.press(key)
    shows(page, "second")
    page.keyboard.press("z")
    shows(page, "first")
    assert (visitor.foreign, visitor.problems) == ([], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(scheme: str, visit: Callable[..., Visitor], wait_in: Any) -> None:
    wait_in(
        "first",
        model="m",
        output="# Title\n\n**Answer** with `code`\n\n```\nlong\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        documents=[{"title": "Price list", "content": "Fees", "score": 0.8}],
        messages=[{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Question of first?"}],
    )  # fmt: skip
    wait_in("second")
    visitor = visit("lead", color_scheme=scheme, reduced_motion="reduce")
    page = visitor.page
    found = {}
    visitor.open("/p/acme/queues/")
    found["queues"] = violations(page)
    visitor.open(REVIEW)
    for key in ("f", "2", "e"):
        page.keyboard.press(key)
    page.keyboard.type("Other words. ")
    found["review"] = violations(page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    found["shortcuts"] = violations(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")
    shows(page, "second")
    visitor.open("/p/acme/labels/mine/")
    found["my labels"] = violations(page)
    visitor.open("/p/acme/queues/random-sample/review/")
    found["empty"] = violations(page)
    assert {where: what for where, what in found.items() if what} == {}


def test_axe_finds_nothing_on_a_phone(visit: Callable[..., Visitor], wait_in: Any) -> None:
    wait_in("first")
    visitor = visit("reviewer", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = visitor.open(REVIEW)
    assert violations(page) == []
    expect(page.locator(".cats")).not_to_be_visible()
    page.locator("label.fail").click()  # failing on the conversation opens the labels
    expect(page.locator(".cats")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="Conversation").click()
    expect(page.locator(".turn.user")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_window_as_narrow_as_a_phone_holds_it_too(
    visit: Callable[..., Visitor], wait_in: Callable[..., Task]
) -> None:
    """With a mouse there are key hints, which a phone has not; a page at 400 % is as narrow."""
    wait_in("first", output="The fee is ten euros a month.")
    visitor = visit("reviewer", viewport={"width": 390, "height": 844})
    visitor.open(REVIEW)
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 390


def violations(page: Page, rules: list[str] | None = None) -> list[str]:
    """What axe finds: of these rules, else of all of WCAG 2.2 AA and of good practice."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": tags}
    results = Axe().run(page, options={"runOnly": only})
    return [
        f"{entry['id']}: {node['target']} {node.get('failureSummary', '')}"
        for entry in results.response["violations"]
        for node in entry["nodes"][:3]
    ]
