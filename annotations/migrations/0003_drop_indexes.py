"""Drops indexes that hold only what the beginning of another holds; a new database never had them."""

from django.db import migrations

INDEXES = [
    "annotations_annotation_project_id_9c63b7ba",
    "annotations_annotation_reviewer_id_f829edca",
    "annotations_audit_project_id_5b1a5aad",
    "annotations_audititem_audit_id_150374d2",
    "annotations_cluster_project_id_2c92a232",
    "annotations_clustermember_cluster_id_7e87ec3b",
    "annotations_failuremode_project_id_6431234f",
    "annotations_failuremode_slug_45189c6e",
    "annotations_failuremode_slug_45189c6e_like",
    "annotations_label_project_id_a5e09a40",
    "annotations_notegroup_project_id_dc08aac0",
    "annotations_queue_project_id_b8a0829f",
    "annotations_queue_slug_ba2368d9",
    "annotations_queue_slug_ba2368d9_like",
    "annotations_queuemember_queue_id_ebca188e",
    "annotations_rubric_project_id_19f692ed",
    "annotations_stratumrate_rule_id_c80268c4",
    "annotations_triagerule_project_id_a0521eea",
    "annotations_triagerule_slug_1e01a282",
    "annotations_triagerule_slug_1e01a282_like",
]


class Migration(migrations.Migration):
    dependencies = [("annotations", "0002_functions")]
    operations = [
        migrations.RunSQL(f"DROP INDEX IF EXISTS {', '.join(INDEXES)}", migrations.RunSQL.noop),
    ]
