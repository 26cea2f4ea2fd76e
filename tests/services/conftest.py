"""The services tier: the product on the machine's own PostgreSQL, Redis and RabbitMQ.

Run with ``pytest --services tests/services``. Without a server the tests are skipped, in CI (``CI=true``)
they fail: a tier that quietly tests nothing is worse than none.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator

import psycopg
import pytest

POSTGRES = "postgresql://postgres@127.0.0.1:5432/{}"
BROKERS = {"redis": "redis://127.0.0.1:6379/9", "rabbitmq": "amqp://guest:guest@127.0.0.1:5672//"}
PORTS = {"postgres": 5432, "redis": 6379, "rabbitmq": 5672}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--services", action="store_true", help="talk to the machine's PostgreSQL, Redis and RabbitMQ")


def need(service: str) -> None:
    """Skips or fails, unless the service is wanted and there."""
    try:
        socket.create_connection(("127.0.0.1", PORTS[service]), timeout=2).close()
    except OSError as error:
        text = f"no {service} on 127.0.0.1:{PORTS[service]}: {error}"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(text)
        pytest.skip(text)


@pytest.fixture(autouse=True)
def _wanted(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--services", default=False):
        pytest.skip("the services tier runs with --services")


@pytest.fixture(scope="module")
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A new database on the machine's server, dropped afterwards."""
    if not request.config.getoption("--services", default=False):
        pytest.skip("the services tier runs with --services")
    need("postgres")
    name = f"reviewhub_services_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(POSTGRES.format("postgres"), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    yield POSTGRES.format(name)
    with psycopg.connect(POSTGRES.format("postgres"), autocommit=True) as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
