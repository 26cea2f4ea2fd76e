"""Addresses of what leads set: queues, rules and single tasks; and of what a reviewer has put aside."""

from django.urls import path

from annotations.views import backfills, queue_settings, rules, tasks

urlpatterns = [
    # /p/<project>/queues/
    path("p/<slug:project>/queues/new/", queue_settings.queue_new, name="queue-new"),
    path("p/<slug:project>/queues/<slug:queue>/", queue_settings.queue_edit, name="queue-settings"),
    path("p/<slug:project>/queues/<slug:queue>/remove/", queue_settings.queue_remove, name="queue-remove"),
    # /p/<project>/rules/
    path("p/<slug:project>/rules/", rules.rule_list, name="rule-list"),
    path("p/<slug:project>/rules/new/", rules.rule_new, name="rule-new"),
    path("p/<slug:project>/rules/preview/", rules.rule_preview, name="rule-preview"),
    path("p/<slug:project>/rules/<slug:slug>/", rules.rule_edit, name="rule-edit"),
    path("p/<slug:project>/rules/<slug:slug>/move/", rules.rule_move, name="rule-move"),
    path("p/<slug:project>/rules/<slug:slug>/switch/", rules.rule_switch, name="rule-switch"),
    path("p/<slug:project>/rules/<slug:slug>/remove/", rules.rule_remove, name="rule-remove"),
    path("p/<slug:project>/rules/<slug:slug>/versions/", rules.rule_versions, name="rule-versions"),
    path("p/<slug:project>/rules/<slug:slug>/backfill/", backfills.rule_backfill, name="rule-backfill"),
    path("p/<slug:project>/rules/<slug:slug>/backfill/stop/", backfills.backfill_stop, name="backfill-stop"),
    # /p/<project>/tasks/, /labels/aside/
    path("p/<slug:project>/tasks/", tasks.task_list, name="task-list"),
    path("p/<slug:project>/tasks/<int:pk>/pull-in/", tasks.task_pull_in, name="task-pull-in"),
    path("p/<slug:project>/tasks/<int:pk>/assign/", tasks.task_assign, name="task-assign"),
    path("p/<slug:project>/labels/aside/", tasks.aside_list, name="aside-list"),
    path("p/<slug:project>/claims/<uuid:token>/return/", tasks.claim_return, name="claim-return"),
]
