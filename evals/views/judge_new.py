"""The page on which a judge is written: from nothing, from a preset or from its version before, with a preview."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from evals import judge_preview, judge_variables, judges, rubric_drafts
from evals.judge_forms import JudgeForm, PreviewForm
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
    context = {
        "section": "judges", "form": form, "wish": wish, "presets": PRESETS.values(),
        "preset": PRESETS.get(request.GET.get("preset", "")), "variables": judge_variables.KEYS,
        "drafted": drafted, "wanted_draft": "draft" in request.GET,
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
