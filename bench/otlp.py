"""What OpenTelemetry costs: spans a second through the real SDK, and the server's CPU for them and for one large trace.

``.venv/bin/python bench/otlp.py [--json] [--spans 40000] [--processes 2]``

It starts a clone like ``bench/loop.py``. Applications of their own processes make spans of model calls (1.5 kB) and
hand them to the SDK's BatchSpanProcessor and OTLP/HTTP exporter; a span counts once its export was answered, and all
must then be in the database. Beside it, COPY of as many rows of the same content into a bare table. CPU is the
server's alone and includes all that follows (assembly, triage, figures), less what it uses while idle.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from loop import Clone
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

PER_TRACE = 10
LARGE, LARGE_ROUNDS = 1_000, 10
TARGETS = {"spans_per_second": 5_000, "large_trace_cpu_ms": 150}
SENTENCE = "Closing the account costs nothing until the end of the year. "
PARTS = ("web", "worker", "postgres", "other")
TICKS = os.sysconf("SC_CLK_TCK")


def said(role: str, times: int) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": SENTENCE * times}]}])


CALL: dict[str, Any] = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06", "gen_ai.request.temperature": 0.2,
    "gen_ai.usage.input_tokens": 512, "gen_ai.usage.output_tokens": 120, "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    "gen_ai.input.messages": said("user", 8), "gen_ai.output.messages": said("assistant", 4),
}  # fmt: skip


def send(url: str, key: str, traces: int, per_trace: int) -> tuple[float, float, float]:
    """An application that makes so many traces; when it began and ended, and the CPU seconds it needed itself."""
    exporter = OTLPSpanExporter(f"{url}/v1/traces", headers={"Authorization": f"Bearer {key}"})
    provider = TracerProvider(resource=Resource.create({"service.name": "bench", "service.version": "1"}))
    # Nothing may be dropped: the queue holds all there will be.
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=max(traces * per_trace, 512)))
    tracer = provider.get_tracer("bench")
    began, cpu = time.time(), time.process_time()
    for _ in range(traces):
        with tracer.start_as_current_span("POST /chat"):
            for _ in range(per_trace - 1):
                with tracer.start_as_current_span("chat gpt-4o", attributes=CALL):
                    pass
    provider.force_flush(600_000)
    done = time.time(), time.process_time()
    provider.shutdown()
    return began, done[0], done[1] - cpu


def cpu_ms(root: int) -> dict[str, float]:
    """CPU milliseconds so far of a process and all below it, by kind of process."""
    below: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            below.setdefault(int(fields[1]), []).append(int(folder.name))
            # with the children that have ended: PostgreSQL makes one for every connection
            used[int(folder.name)] = sum(int(ticks) for ticks in fields[11:15]) * 1000 / TICKS
    total = dict.fromkeys(PARTS, 0.0)
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        waiting += below.get(pid, [])
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if "reviewhub.cli" in words:
                kind = words[words.index("reviewhub.cli") + 1]
            else:
                kind = "postgres" if "postgres" in words[0] else "other"
            total[kind if kind in total else "other"] += used.get(pid, 0)
    return total


class Meter:
    """The server's CPU between two moments, less what it uses in as much time while nothing comes."""

    def __init__(self, clone: Clone, seconds: float = 10) -> None:
        assert clone.process
        self.root = clone.process.pid
        self.idle = dict.fromkeys(PARTS, 0.0)
        self.start()
        time.sleep(seconds)
        self.idle = {kind: used / seconds for kind, used in self.stop().items()}

    def start(self) -> None:
        self.before, self.began = cpu_ms(self.root), time.monotonic()

    def stop(self) -> dict[str, float]:
        seconds, after = time.monotonic() - self.began, cpu_ms(self.root)
        return {kind: after[kind] - self.before[kind] - self.idle[kind] * seconds for kind in PARTS}


def await_interactions(connection: psycopg.Connection, count: int) -> None:
    """Until all traces are interactions and the workers have done what follows from them."""
    end = time.monotonic() + 300
    query = "SELECT (SELECT count(*) FROM feedback_telemetrytrace WHERE NOT waiting AND interaction_id IS NOT NULL),"
    query += " (SELECT count(*) FROM feedback_inbox)"
    while time.monotonic() < end:
        if connection.execute(query).fetchone() == (count, 0):
            return
        time.sleep(0.5)
    raise SystemExit("the traces did not become interactions within five minutes")


def many(clone: Clone, meter: Meter, key: str, spans: int, processes: int) -> dict[str, Any]:
    each = spans // PER_TRACE // processes
    meter.start()
    with ProcessPoolExecutor(processes) as pool:
        times = list(pool.map(send, *zip(*[(clone.url, key, each, PER_TRACE)] * processes, strict=True)))
    spans = each * processes * PER_TRACE
    seconds = max(ended for _, ended, _ in times) - min(began for began, _, _ in times)
    door = meter.stop()
    with clone.database() as connection:
        stored = connection.execute("SELECT sum(jsonb_array_length(body::jsonb)) FROM feedback_telemetrychunk")
        if stored.fetchone() != (spans,):
            raise SystemExit("spans that were answered are not in the database")
        await_interactions(connection, each * processes)
        used = meter.stop()
        raw = raw_copy(connection)
    return {
        "spans": spans,
        "spans_per_second": round(spans / seconds),
        "client_cpu_ms_per_1000": round(sum(cpu for _, _, cpu in times) * 1e6 / spans, 1),
        "server_cpu_ms_per_1000_until_answered": _parts(door, spans / 1000),
        "server_cpu_ms_per_1000_in_all": _parts(used, spans / 1000),
        "raw_copy_rows_per_second": raw,
        "ratio_to_raw_copy": round(spans / seconds / raw, 3),
    }


def raw_copy(connection: psycopg.Connection) -> int:
    """Rows a second of COPY: each span as it is stored, with the trace's and its own id and their index."""
    rows = connection.execute(
        "SELECT c.trace_id, span->>'span_id', span::text"
        " FROM feedback_telemetrychunk AS c, json_array_elements(body::json) AS span"
    ).fetchall()
    connection.execute("CREATE TABLE bench_copy (trace bigint, span text, body text, UNIQUE (trace, span))")
    began = time.monotonic()
    with connection.cursor().copy("COPY bench_copy FROM STDIN") as target:
        for row in rows:
            target.write_row(row)
    taken = time.monotonic() - began
    connection.execute("DROP TABLE bench_copy")
    return round(len(rows) / taken)


def large(clone: Clone, meter: Meter, key: str) -> dict[str, Any]:
    """One trace of 1,000 spans, from the door to the finished interaction."""
    with clone.database() as connection:
        row = connection.execute("SELECT count(*) FROM feedback_telemetrytrace").fetchone()
        assert row
        meter.start()
        for number in range(LARGE_ROUNDS):
            send(clone.url, key, 1, LARGE)
            await_interactions(connection, row[0] + number + 1)
        used = _parts(meter.stop(), LARGE_ROUNDS)
    return {"large_trace_cpu_ms": round(sum(used.values()), 1), "large_trace_cpu_ms_by_part": used}


def _parts(used: dict[str, float], count: float) -> dict[str, float]:
    return {kind: round(spent / count, 1) for kind, spent in used.items()}


def verdicts(result: dict[str, Any]) -> dict[str, str]:
    enough = {
        "spans_per_second": result["spans_per_second"] >= TARGETS["spans_per_second"],
        "large_trace_cpu_ms": result["large_trace_cpu_ms"] <= TARGETS["large_trace_cpu_ms"],
    }
    bound = {"spans_per_second": "at least", "large_trace_cpu_ms": "at most"}
    return {name: f"{bound[name]} {TARGETS[name]:,}: {'met' if met else 'missed'}" for name, met in enough.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--spans", type=int, default=40_000, help="spans to send")
    parser.add_argument("--processes", type=int, default=2, help="applications that send them")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"cpus": os.cpu_count(), "python": sys.version.split()[0]}
    with tempfile.TemporaryDirectory(prefix="reviewhub bench ") as folder:
        clone = Clone(Path(folder))
        clone.env["SAMPLE"] = "0"
        with clone.running():
            key = clone.bootstrap()["secret_key"]
            send(clone.url, key, 20, PER_TRACE)  # connections and caches
            with clone.database() as connection:
                await_interactions(connection, 20)
                connection.execute("TRUNCATE feedback_telemetrytrace, feedback_telemetrychunk")
            meter = Meter(clone)
            result |= large(clone, meter, key)
            with clone.database() as connection:
                connection.execute("TRUNCATE feedback_telemetrytrace, feedback_telemetrychunk")
            result |= many(clone, meter, key, arguments.spans, arguments.processes)
    result["targets"] = verdicts(result)
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:<40} {value}")


if __name__ == "__main__":
    main()
