"""Addresses of the health page, alerts and metrics."""

from django.urls import URLPattern, path

from monitoring import api

app_name = "monitoring"
urlpatterns: list[URLPattern] = [
    path("api/v1/metrics", api.Metrics.as_view(), name="api-metrics"),
    path("metrics", api.PrometheusText.as_view(), name="metrics-text"),
]
