"""A reviewer's own figures for programs."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from annotations import openapi_reviewers, reviewer_report
from annotations.api import answer, person
from annotations.api_agreement import figure
from annotations.checks import FEW, Standing
from annotations.reviewer_report import Pace, ReviewerReport, Share, Stretch
from projects.access import Right
from projects.auth import allow, caller_of


def _standing(one: Standing) -> dict[str, Any]:
    low, high = one.interval
    told = one.checked >= FEW
    return {
        "value": one.mean if told else None, "low": low if told else None, "high": high if told else None,
        "right": one.right, "wrong": one.wrong, "unsure": one.unsure,
    }  # fmt: skip


def _share(one: Share) -> dict[str, Any]:
    told = one.value is not None
    return {"value": one.value, "low": one.low if told else None, "high": one.high if told else None, "n": one.n}


def _pace(one: Pace) -> dict[str, Any]:
    return {"median": one.median, "lower_quartile": one.lower, "upper_quartile": one.upper, "n": one.n}


def _stretch(one: Stretch) -> dict[str, Any]:
    return {"seconds": _pace(one.pace), "same_verdict": _share(one.same)}


def as_json(found: ReviewerReport) -> dict[str, Any]:
    """The whole page."""
    return {
        "reviewer": found.user.email, "items": found.items,
        "by_day": [{"day": day, "items": count} for day, count in found.by_day],
        "seconds": _pace(found.pace), "known_items": _standing(found.known), "repeats": _standing(found.repeats),
        "same_verdict": figure(found.same),
        "weeks": [
            {"start": week.start, "items": week.items, "fail": _share(week.fails), "same_verdict": _share(week.same),
             "seconds": _pace(week.pace)}
            for week in found.weeks
        ],
        "moved": found.drift,
        "long_sessions": {
            "sessions": found.fatigue.sessions, "first_hour": _stretch(found.fatigue.fresh),
            "after_two_hours": _stretch(found.fatigue.late), "slower": found.fatigue.slower,
            "less_alike": found.fatigue.less_alike,
        },
    }  # fmt: skip


class MyFigures(APIView):
    """``/api/v1/reviewers/me``: personal tokens of those who may review."""

    permission_classes = [allow(right=Right.REVIEW)]

    @extend_schema(operation_id="reviewer_me", **openapi_reviewers.ME)
    def get(self, request: Request) -> HttpResponse:
        """Your own figures in this project, as your page shows them."""
        return answer(as_json(reviewer_report.report(caller_of(request).project, person(request))))
