"""Addresses of the webhook pages."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
