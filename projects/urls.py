"""Addresses of sign-in, account, projects, members, keys, webhooks and audit."""

from django.urls import path

from projects.urls_webhooks import urlpatterns as webhook_urls
from projects.views import account, keys, members

app_name = "projects"
urlpatterns = [
    path("login/", account.sign_in, name="sign-in"),
    path("logout/", account.sign_out, name="sign-out"),
    path("account/", account.account, name="account"),
    path("account/theme/", account.account_theme, name="account-theme"),
    path("account/password/", account.account_password, name="account-password"),
    path("account/tokens/<int:pk>/revoke/", keys.token_revoke, name="token-revoke"),
    path("projects/", members.project_list, name="project-list"),
    path("projects/new/", members.project_new, name="project-new"),
    path("p/<slug:project>/settings/", members.project_settings, name="settings"),
    # /p/<project>/members/
    path("p/<slug:project>/members/", members.member_list, name="member-list"),
    path("p/<slug:project>/members/<int:pk>/role/", members.member_role, name="member-role"),
    path("p/<slug:project>/members/<int:pk>/remove/", members.member_remove, name="member-remove"),
    # /p/<project>/keys/, /tokens/, /audit/
    path("p/<slug:project>/keys/", keys.key_list, name="key-list"),
    path("p/<slug:project>/keys/<int:pk>/revoke/", keys.key_revoke, name="key-revoke"),
    path("p/<slug:project>/tokens/new/", keys.token_new, name="token-new"),
    path("p/<slug:project>/audit/", keys.audit_list, name="audit-list"),
    *webhook_urls,
]
