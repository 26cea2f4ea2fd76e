"""Addresses of how well reviewing works: agreement, reviewers, audits."""

from django.urls import path

from annotations import api_agreement, api_audits, api_reviewers
from annotations.views import agreement, audits, reviewers

urlpatterns = [
    # /p/<project>/agreement/
    path("p/<slug:project>/agreement/", agreement.agreement_page, name="agreement"),
    path("p/<slug:project>/agreement/items/", agreement.agreement_items, name="agreement-items"),
    # /p/<project>/reviewers/
    path("p/<slug:project>/reviewers/", reviewers.reviewer_list, name="reviewer-list"),
    path("p/<slug:project>/reviewers/<int:pk>/", reviewers.reviewer_detail, name="reviewer"),
    # /p/<project>/audits/
    path("p/<slug:project>/audits/", audits.audit_list, name="audit-list"),
    path("p/<slug:project>/audits/new/", audits.audit_new, name="audit-new"),
    path("p/<slug:project>/audits/<int:pk>/", audits.audit_report, name="audit-report"),
    path("p/<slug:project>/audits/<int:pk>/sign/", audits.audit_sign, name="audit-sign"),
    # /api/v1/agreement, /reviewers, /audits
    path("api/v1/agreement", api_agreement.AgreementView.as_view(), name="api-agreement"),
    path("api/v1/reviewers/me", api_reviewers.MyFigures.as_view(), name="api-reviewer-me"),
    path("api/v1/audits", api_audits.Audits.as_view(), name="api-audits"),
    path("api/v1/audits/<int:pk>", api_audits.OneAudit.as_view(), name="api-audit"),
]
