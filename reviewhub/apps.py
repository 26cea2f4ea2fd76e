from django.apps import AppConfig


class ReviewhubConfig(AppConfig):
    name = "reviewhub"
