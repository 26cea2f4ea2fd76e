"""Django's PostgreSQL engine with two additions for what happens thousands of times a second.

**A kept connection is asked whether it still works only when there is reason to.** Django's own health check is a
``SELECT 1`` before the first statement of each request: a round trip, and a third of what a single feedback costs.
But a server that ends a connection (restart, failover, ``pg_terminate_backend``) says so on the socket, and asking
the kernel whether something waits there takes a microsecond. What nobody can say is that the network has gone
silent; therefore a connection that was not used for a while is asked as before.

**Statements that the server keeps prepared.** Django's own cursors paste the values into the statement, so that
PostgreSQL parses and plans each one anew; ``prepared_cursor`` gives one that does not.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

from django.db.backends.postgresql import base, operations
from django.db.backends.utils import CursorWrapper
from psycopg import Cursor, Error
from psycopg.abc import Params

IDLE_SECONDS = 5.0


class _PreparingCursor(Cursor[tuple[Any, ...]]):
    def execute(self, query: Any, params: Params | None = None, **options: Any) -> _PreparingCursor:
        return super().execute(query, params, prepare=True, **options)


class DatabaseOperations(operations.DatabaseOperations):
    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> str:
        """For logs and tests. Of a prepared statement without its values, which were never part of it."""
        return sql if isinstance(cursor, _PreparingCursor) else str(super().last_executed_query(cursor, sql, params))


class DatabaseWrapper(base.DatabaseWrapper):
    """The engine ``reviewhub.postgresql``."""

    ops_class = DatabaseOperations
    health_check_enabled: bool  # Django's own, which its types do not know
    health_check_done: bool
    _prepare_cursor: Callable[[Any], CursorWrapper]
    _used_at = 0.0

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, with prepared statements allowed: its own cursors have none either way."""
        return {**super().get_connection_params(), "prepare_threshold": 5}

    def close_if_health_check_failed(self) -> None:
        """Closes a kept connection that does not work any more; called before each statement."""
        if self.connection is None or not self.health_check_enabled or self.health_check_done:
            return
        now = time.monotonic()
        idle, self._used_at = now - self._used_at, now
        if idle < IDLE_SECONDS and self._nothing_waits():
            self.health_check_done = True
        else:
            super().close_if_health_check_failed()

    def prepared_cursor(self) -> CursorWrapper:
        """A cursor whose statements are parsed and planned once for each connection; values travel beside them."""
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            return self._prepare_cursor(_PreparingCursor(self.connection))

    def _nothing_waits(self) -> bool:
        """Whether the server has sent nothing unasked, such as its farewell."""
        poll = select.poll()
        try:
            poll.register(self.connection.pgconn.socket, select.POLLIN)
        except Error:  # closed already
            return False
        return not poll.poll(0)
