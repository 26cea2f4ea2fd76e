"""The embedded database for the duration of one command, or the one that is running already."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from reviewhub import env
from reviewhub.runner import database, process
from reviewhub.runner.home import CannotStart, Home, InUse, home
from reviewhub.runner.postgres import DURABLE, Postgres


def server(place: Home) -> Postgres:
    """The embedded PostgreSQL of this folder, not started."""
    return Postgres(place.database, place.sockets(), place.logs / "postgres.log", DURABLE)


@contextlib.contextmanager
def running_database(what: str, *, alone: bool = False) -> Iterator[None]:
    """Within the block the database answers: given by DATABASE_URL, of a running Review Hub, or started here.

    Enter it before the settings are read. ``alone`` refuses to share: raises InUse while Review Hub runs.
    """
    if url := env.text("DATABASE_URL"):
        env.database(url)  # says what is wrong with it
        database.connect(url).close()
        yield
        return
    place = home()
    place.make()
    postgres = server(place)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(place.hold(what))
        except InUse as taken:
            if alone or taken.holder.get("what") != "run":
                raise
            _connect_while_starting(postgres).close()
        else:
            process.await_leftovers(place.children)
            stack.callback(postgres.stop)
            postgres.start()
        yield


def _connect_while_starting(postgres: Postgres) -> psycopg.Connection:
    try:
        return database.connect(postgres.url)
    except CannotStart as error:
        raise CannotStart(
            "Review Hub is just starting or stopping; its database does not answer yet. "
            "Nothing was changed. Try again in a few seconds."
        ) from error
