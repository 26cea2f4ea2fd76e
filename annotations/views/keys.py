"""A person's own keys of the review screen."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from annotations import keymap
from projects import services
from projects.access import ProjectRequest


@require_http_methods(["GET", "POST"])
def account_keys(request: ProjectRequest) -> HttpResponse:
    """Each key of review with what it does: to move, to switch off, or all back as they were."""
    wanted, faults = {**request.user.keys}, dict[str, str]()
    if request.method == "POST":
        wanted = (
            {} if "reset" in request.POST else {action: request.POST.get(action, action) for action in keymap.MOVABLE}
        )
        keys, faults = keymap.moved(wanted)
        if not faults:
            services.change_account(request.user, keys=keys)
            messages.success(request, "Saved. A review page that is open keeps its keys until it is opened anew.")
            return redirect("account-keys")
    rows = [
        {
            "action": action,
            "does": keymap.ACTIONS[action],
            "key": wanted.get(action, action),
            "fault": faults.get(action),
        }
        for action in keymap.MOVABLE
    ]
    return render(request, "annotations/account_keys.html", {"rows": rows}, status=422 if faults else 200)
