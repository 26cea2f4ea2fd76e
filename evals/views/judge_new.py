"""The page on which a judge is written: from nothing, from a preset or from its version before, with a preview."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from evals import judge_preview, judge_variables, judges, judging, rubric_drafts, rubric_writing
from evals.judge_forms import JudgeForm, PreviewForm, SourceForm
from evals.judge_presets import PRESETS
from evals.models import Judge
from evals.views.judges import judge_of
from projects.access import ProjectRequest, Right, project_view


@require_http_methods(["GET", "POST"])
@project_view(Right.BUILD)
def judge_new(request: ProjectRequest) -> HttpResponse:
    """A new judge; ``?from=slug`` makes the next version of that one, ``?preset=slug`` starts from a rubric of ours,
    ``?draft=labels`` from what reviewers wrote.

    POST saves it, or with ``act=preview`` shows what it would send and saves nothing.
    """
    drafted = rubric_drafts.draft(request.project) if request.GET.get("draft") == "labels" else None
    initial = _initial(request) | ({"criterion": drafted.rubric} if drafted else {})
    form = JudgeForm(request.project, request.POST if request.method == "POST" else None, initial=initial)
    wish = PreviewForm(request.POST or None)
    context = _context(form, wish) | {
        "preset": PRESETS.get(request.GET.get("preset", "")), "drafted": drafted,
        "wanted_draft": "draft" in request.GET,
    }  # fmt: skip
    if form.is_valid() and wish.is_valid():
        if request.POST.get("act") != "preview":
            judge = judges.create_judge(request.project, actor=request.user, **form.cleaned_data)
            messages.success(request, f"{judge} is at work.")
            return redirect("evals:judge-detail", request.project.slug, judge.slug)
        draft = judges.draft(request.project, **form.cleaned_data)
        context["preview"] = judge_preview.preview(draft, wish.cleaned_data["interaction"])
        context["previewed"] = True
    return render(request, "evals/judge_new.html", context, status=422 if form.errors or wish.errors else 200)


@require_POST
@project_view(Right.BUILD)
def judge_draft(request: ProjectRequest) -> HttpResponse:
    """Asks the chosen model for a question; what was typed comes back, with its draft or with why there is none."""
    source = SourceForm(request.project, request.POST)
    written, why = None, "" if source.is_valid() else "Say which model is to draft it, and who is asked."
    if source.is_valid():
        asker = judges.draft(
            request.project, name="Draft", criterion="", threshold=0.5, sample_rate=0, **source.cleaned_data
        )
        try:
            written = rubric_writing.write(asker, actor=request.user)
        except rubric_writing.NotWritten as reason:
            why = str(reason)
    typed: dict[str, object] = {name: request.POST.get(name, "") for name in JudgeForm.base_fields}
    form = JudgeForm(request.project, initial=typed | ({"criterion": written.draft.rubric} if written else {}))
    wish = PreviewForm(initial={"interaction": request.POST.get("interaction", "")})
    context = _context(form, wish) | {"written": written, "not_written": why, "before": typed["criterion"]}
    return render(request, "evals/judge_new.html", context, status=422 if why else 200)


def _context(form: JudgeForm, wish: PreviewForm) -> dict[str, object]:
    return {
        "section": "judges", "form": form, "wish": wish, "presets": PRESETS.values(),
        "variables": judge_variables.KEYS, "keyless": "" if form.connections else judging.no_key_at_all(),
    }  # fmt: skip


def _initial(request: ProjectRequest) -> dict[str, object]:
    initial: dict[str, object] = {"threshold": 0.5, "sample_rate": 0, "examples": 0}
    if request.GET.get("from"):
        origin = judge_of(request, request.GET["from"][:60])
        initial = {
            "name": origin.name, "criterion": origin.criterion, "model": origin.model, "threshold": origin.threshold,
            "source": str(origin.connection_id or origin.provider), "sample_rate": origin.sample_rate * 100,
            "examples": len(origin.examples), "kind": origin.kind,
        }  # fmt: skip
    if wanted := request.GET.get("preset"):
        if wanted not in PRESETS:
            raise Http404("No such preset")
        preset = PRESETS[wanted]
        initial |= {"criterion": preset.rubric, "threshold": preset.threshold, "kind": preset.kind}
        initial.setdefault("name", preset.name)
        initial.setdefault("model", _usual_model(request))
    return initial


def _usual_model(request: ProjectRequest) -> str:
    """The model of the project's newest judge: whoever has one will mostly want it again."""
    return Judge.objects.filter(project=request.project).order_by("-pk").values_list("model", flat=True).first() or ""
