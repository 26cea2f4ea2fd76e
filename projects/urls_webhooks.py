"""Addresses of the webhook pages."""

from django.urls import URLPattern, path

from projects.views import webhooks

urlpatterns: list[URLPattern] = [
    # /p/<project>/webhooks/
    path("p/<slug:project>/webhooks/", webhooks.webhook_list, name="webhook-list"),
    path("p/<slug:project>/webhooks/<int:pk>/disable/", webhooks.webhook_disable, name="webhook-disable"),
    path("p/<slug:project>/webhooks/<int:pk>/enable/", webhooks.webhook_enable, name="webhook-enable"),
    path("p/<slug:project>/webhooks/<int:pk>/remove/", webhooks.webhook_remove, name="webhook-remove"),
    path("p/<slug:project>/webhooks/<int:pk>/test/", webhooks.webhook_test, name="webhook-test"),
    path("p/<slug:project>/webhooks/deliveries/<int:pk>/replay/", webhooks.delivery_replay, name="delivery-replay"),
]
