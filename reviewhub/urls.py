"""All addresses. Each app lists its own; the roof only puts them together."""

from django.urls import include, path

from annotations.views import keys
from reviewhub import views

urlpatterns = [
    path("", include("feedback.urls")),  # first, and its API before its pages: the busiest addresses
    path("", include("annotations.urls")),  # then claims and votes
    path("", views.home, name="home"),
    path("p/<slug:project>/", views.project_home, name="project-home"),
    path("account/keys/", keys.account_keys, name="account-keys"),  # no app's: the account page names it
    path("", include("projects.urls")),
    path("", include("evals.urls")),
    path("", include("monitoring.urls")),
    path("api/schema/", views.schema, name="api-schema"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
]
handler400 = "reviewhub.views.bad_request"
handler403 = "reviewhub.views.forbidden"
handler404 = "reviewhub.views.not_found"
handler500 = "reviewhub.views.server_error"
