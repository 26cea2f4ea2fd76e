"""The roof of Review Hub: settings, URLs, Celery, middleware and the command line. No app imports it."""
