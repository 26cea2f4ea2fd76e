"""Addresses of queues, review, and one's own labels."""

from django.urls import URLPattern

app_name = "annotations"
urlpatterns: list[URLPattern] = []
