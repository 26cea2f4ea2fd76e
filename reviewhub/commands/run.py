"""``reviewhub run``: everything under one foreground process."""

from __future__ import annotations

import argparse

from reviewhub import env
from reviewhub.runner.home import home
from reviewhub.runner.supervisor import Options, Supervisor


def handle(arguments: argparse.Namespace) -> int:
    place = home()
    place.make()
    port = env.integer("PORT", 8000, 1, 65535)
    url = (env.text("REVIEWHUB_URL") or f"http://127.0.0.1:{port}").rstrip("/")
    with place.hold("run", url=url):
        place.sockets()  # before the settings are read: they look for it
        options = Options.read(host=arguments.host, sample=env.flag("SAMPLE", True), verbose=arguments.verbose)
        return Supervisor(place, options).run()
