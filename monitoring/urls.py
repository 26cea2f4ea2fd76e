"""Addresses of the health page, alerts and metrics."""

from django.urls import URLPattern, path

from monitoring import api
from monitoring.views import alerts, health

app_name = "monitoring"
urlpatterns: list[URLPattern] = [
    # /p/<project>/health/, /failures/
    path("p/<slug:project>/health/", health.health, name="health"),
    path("p/<slug:project>/failures/", health.failure_list, name="failure-list"),
    # /p/<project>/alerts/
    path("p/<slug:project>/alerts/", alerts.alert_list, name="alert-list"),
    path("p/<slug:project>/alerts/<int:pk>/take/", alerts.alert_take, name="alert-take"),
    path("p/<slug:project>/alerts/<int:pk>/close/", alerts.alert_close, name="alert-close"),
    path("p/<slug:project>/alerts/rules/new/", alerts.rule_new, name="rule-new"),
    path("p/<slug:project>/alerts/rules/<int:pk>/", alerts.rule_edit, name="rule-edit"),
    path("api/v1/metrics", api.Metrics.as_view(), name="api-metrics"),
    path("metrics", api.PrometheusText.as_view(), name="metrics-text"),
]
