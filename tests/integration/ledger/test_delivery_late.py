# SPDX-License-Identifier: Apache-2.0
"""A verdict that another process reports three days later stands beside the run's first event, as revision 1."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import httpx

from agent_outcomes import semconv
from agent_outcomes.ledger.delivery.deliverer import Deliverer
from agent_outcomes.ledger.delivery.targets import read_delivery_targets
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.integration.backends import Loki, get, wait_until
from tests.integration.ledger.accepted import acceptance, made_run
from tests.integration.ledger.deliver_program import ROOT
from tests.integration.ledger.receiver import Receiver
from tests.integration.otelcol import CONFIG_FOLDER, Collector
from tests.integration.otlp_sink import plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY_NS: Final = 86_400 * 1_000_000_000
# Every fourth of the made-up runs is pending.
PENDING: Final = 2


def report_from_another_process(url: str, run_id: str, reported_at_ns: int) -> str:
    command = [sys.executable, "-m", "tests.integration.ledger.late_verdict_program", url, run_id, str(reported_at_ns)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_a_verdict_three_days_later(ledger_url: str) -> None:
    """The first event stays as it was; the next has its ids, the time of the report, and what it supersedes."""
    store = Store.open(read_location(ledger_url))
    run = made_run(PENDING)
    with Receiver() as receiver:
        deliverer = Deliverer(lambda: store, read_delivery_targets(receiver.environ))
        store.accept([acceptance(number) for number in range(4)])
        assert deliverer.flush(10.0)
        assert receiver.seen.total(semconv.AGENT_OUTCOMES.name) == 3
        reported_at_ns = run.end_ns + 3 * DAY_NS
        assert report_from_another_process(ledger_url, f"ticket-{PENDING}", reported_at_ns) == "1"
        # The delivering process finds it by itself.
        wait_until(lambda: len(receiver.seen.uids()) == 5)
        assert deliverer.flush(10.0)
        assert deliverer.shutdown()
        first, second = [
            record for _, record in receiver.seen.records() if record.span_id == run.span_id.to_bytes(8, "big")
        ]
        assert (second.trace_id, second.span_id) == (first.trace_id, first.span_id)
        assert (first.time_unix_nano, second.time_unix_nano) == (run.end_ns, reported_at_ns)
        before, after = plain(first.attributes), plain(second.attributes)
        assert (before[semconv.AGENT_OUTCOME_STATE], before[semconv.AGENT_OUTCOME_REVISION]) == ("pending", 0)
        assert (
            after.items()
            >= {
                semconv.AGENT_OUTCOME_STATE: "reported",
                semconv.AGENT_OUTCOME_REVISION: 1,
                semconv.AGENT_OUTCOME_SUPERSEDES: before[semconv.LOG_RECORD_UID],
                semconv.AGENT_OUTCOME_ID: before[semconv.AGENT_OUTCOME_ID],
                semconv.AGENT_OUTCOME_LABEL: "stayed_closed",
                semconv.AGENT_OUTCOME_SUCCESS: True,
            }.items()
        )
        # The run is counted once, the outcome now, too.
        assert receiver.seen.total(semconv.AGENT_RUNS.name) == 4
        assert receiver.seen.total(semconv.AGENT_OUTCOMES.name) == 4
        assert receiver.seen.total(semconv.AGENT_OUTCOME_REVERSALS.name) == 0
    store.close()


def test_it_stands_beside_the_first_in_loki(
    backend_binary: Callable[[str], Path], otelcol_binary: Path, tmp_path: Path
) -> None:
    """Through a real collector, of a run that ended three days ago and is judged now."""
    url = f"sqlite:///{tmp_path}/outcomes.db"
    store = Store.open(read_location(url))
    now_ns = time.time_ns()
    end_ns = now_ns - 3 * DAY_NS
    folder = tmp_path / "collector"
    folder.mkdir()
    with ExitStack() as running:
        loki = running.enter_context(Loki(backend_binary("loki"), tmp_path / "loki"))
        variables = {"LOKI_ENDPOINT": loki.otlp_endpoint}
        config = CONFIG_FOLDER / "loki-before-3.8.yaml"
        collector = running.enter_context(Collector(otelcol_binary, folder, (config,), variables))
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
        deliverer = Deliverer(lambda: store, read_delivery_targets(environ))
        store.accept([acceptance(PENDING, end_ns=end_ns)])
        assert deliverer.flush(10.0)
        wait_until(lambda: 'loki_ingester_streams_created_total{tenant="fake"} 1' in get(f"{loki.url}/metrics"))
        # As after three days: Loki has written what is that old to a file, and asks for it there alone.
        assert httpx.post(f"{loki.url}/flush", trust_env=False).is_success
        loki.stop()
        loki.start()
        assert report_from_another_process(url, f"ticket-{PENDING}", now_ns) == "1"
        assert deliverer.flush(10.0)
        assert deliverer.shutdown()

        def events() -> list[dict[str, Any]]:
            found = loki.records('{service_name="shop"}', 5 * 86_400)
            return sorted(found, key=lambda event: int(event["timestamp_ns"]))

        wait_until(lambda: len(events()) == 2)
        first, second = events()
        assert (int(first["timestamp_ns"]), int(second["timestamp_ns"])) == (end_ns, now_ns)
        assert (first["agent_outcome_revision"], second["agent_outcome_revision"]) == ("0", "1")
        assert first["trace_id"] == second["trace_id"]
        assert second["agent_outcome_supersedes"] == first["log_record_uid"]
    store.close()
