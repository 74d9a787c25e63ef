# SPDX-License-Identifier: Apache-2.0
"""The doctor's layer `ledger`: each way in which one cannot be used, and one that nobody delivers."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from agent_outcomes.doctor.findings import EXIT_CODES, Layer, LayerState
from agent_outcomes.doctor.ledger import OLDEST_MAX_S, Seen, check_ledger, judge_ledger
from agent_outcomes.doctor.reach import Deadline
from agent_outcomes.ledger.rows import LedgerStatus
from tests.integration.doctor.doctor_command import examine, run_python
from tests.integration.otlp_sink import HTTP, OtlpSink
from tests.ledger_pipeline import LedgerPipeline, store_at, url_of
from tests.pipeline import run_agent

if TYPE_CHECKING:
    from pathlib import Path

    from agent_outcomes.doctor.findings import LayerFinding

VARIABLE = "AGENT_OUTCOMES_LEDGER"
NOW_NS = 1_800_000_000_000_000_000
S = 1_000_000_000


def look(url: str | None, *, is_way_open: bool = True) -> LayerFinding:
    environ = {} if url is None else {VARIABLE: url}
    (finding,) = check_ledger(environ, Deadline(20.0), is_way_open=is_way_open)
    assert finding.layer is Layer.LEDGER
    return finding


def status(**changed: Any) -> LedgerStatus:
    none = LedgerStatus(
        accepted=5,
        delivered=5,
        waiting=0,
        dead=(),
        runs=5,
        pending=0,
        paused=0,
        held=0,
        orphans=0,
        oldest_waiting_ns=None,
        schema=1,
        size_bytes=4096,
        policy="immutable",
    )
    return none._replace(**changed)


def test_without_a_ledger_there_is_nothing_to_look_at() -> None:
    """The layer is skipped, and says which variable would name one."""
    finding = look(None)
    assert (finding.state, VARIABLE in finding.seen) == (LayerState.SKIPPED, True)


def test_a_ledger_with_runs_in_it_is_well(tmp_path: Path) -> None:
    """Opened, its schema known, written to and left as it was."""
    pipeline = LedgerPipeline(tmp_path / "o.db")
    pipeline.processor.shutdown()
    before = store_at(pipeline.url).status()
    finding = look(pipeline.url)
    assert (finding.state, finding.fix) == (LayerState.OK, "")
    assert f"schema {before.schema}, 0 runs, nothing waits" in finding.seen
    assert store_at(pipeline.url).status() == before


def test_one_that_is_not_there_yet_is_no_fault_where_it_can_be_made(tmp_path: Path) -> None:
    """And the doctor does not make it."""
    path = tmp_path / "o.db"
    assert look(url_of(path)).state is LayerState.OK
    assert not path.exists()
    assert look(url_of(tmp_path / "no" / "such" / "o.db")).state is LayerState.FAIL


def test_what_nobody_delivers_is_a_fault(tmp_path: Path) -> None:
    """The program that accepted it has ended, and no other has the ledger open."""
    pipeline = LedgerPipeline(tmp_path / "o.db")
    run_agent(pipeline.tracer(), success=True)
    pipeline.processor.shutdown()
    finding = look(pipeline.url)
    assert finding.state is LayerState.FAIL
    assert "nobody delivers, and 1 events wait" in finding.seen
    assert "agent-outcomes ledger deliver" in finding.fix


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://u:hunter2@h/d", "ledger=mysql:..."),
        ("postgresql://u:hunter2@h:port/d", "cannot be read"),
        ("postgresql://u:hunter2@127.0.0.1:9/d", "cannot be reached"),
        ("sqlite:////dev/null/o.db", "/dev/null/o.db"),
    ],
)
def test_a_bad_ledger_is_named_with_a_line_that_mends_it(url: str, says: str) -> None:
    """By its file or server and without its password."""
    finding = look(url)
    assert finding.state is LayerState.FAIL
    assert says.replace("ledger=", f"{VARIABLE}=" if "mysql" in url else "ledger=") in finding.seen
    assert "hunter2" not in repr(finding)
    assert f"export {VARIABLE}=" in finding.fix


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    """And is left as it is."""
    path = tmp_path / "o.db"
    path.write_text("no database " * 100)
    finding = look(url_of(path))
    assert (finding.state, str(path) in finding.seen) == (LayerState.FAIL, True)
    assert path.read_text() == "no database " * 100


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes whatever the permissions are")
def test_a_read_only_file_is_named(tmp_path: Path) -> None:
    """It opens, and cannot be written."""
    pipeline = LedgerPipeline(tmp_path / "o.db")
    pipeline.processor.shutdown()
    (tmp_path / "o.db").chmod(stat.S_IRUSR)
    assert look(pipeline.url).state is LayerState.FAIL


WAITS = status(waiting=7, oldest_waiting_ns=NOW_NS - 90 * S)
WAITS_LONG = status(waiting=7, oldest_waiting_ns=NOW_NS - 7200 * S)


@pytest.mark.parametrize(
    ("seen", "is_way_open", "state", "says"),
    [
        (Seen(status(), 0), True, LayerState.OK, "nobody delivers now"),
        (Seen(status(), NOW_NS + 1), True, LayerState.OK, "delivered by a running process"),
        (Seen(status(dead=(("refused", 3), ("poison", 2))), 0), True, LayerState.OK, "5 dead letters"),
        (Seen(WAITS, NOW_NS), True, LayerState.FAIL, "nobody delivers, and 7 events wait, the oldest for 2 min"),
        (Seen(WAITS, NOW_NS + 1), True, LayerState.OK, "7 events wait"),
        (Seen(WAITS_LONG, NOW_NS + 1), True, LayerState.FAIL, "and yet 7 events wait, the oldest for 2 h"),
        (Seen(WAITS_LONG, NOW_NS + 1), False, LayerState.OK, "7 events wait"),
    ],
)
def test_what_is_said_of_delivery(
    seen: Seen,
    is_way_open: bool,  # noqa: FBT001 - a column
    state: LayerState,
    says: str,
) -> None:
    """Nobody delivers: a fault if anything waits. Somebody does: one if it waits for long and the way is open."""
    assert OLDEST_MAX_S < 7200
    finding = judge_ledger("sqlite:///o.db", seen, NOW_NS, is_way_open=is_way_open)
    assert (finding.state, says in finding.seen) == (state, True), finding.seen


def test_the_command_looks_at_the_ledger(tmp_path: Path) -> None:
    """With its own exit code, as text and as JSON."""
    bad = tmp_path / "o.db"
    bad.write_text("no database " * 100)
    with OtlpSink(HTTP) as sink:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": HTTP}
        environ["OTEL_TRACES_EXPORTER"] = "none"
        done = examine({**environ, VARIABLE: url_of(bad)}, "--json")
        assert (done.exit_code, done.broken["layer"]) == (EXIT_CODES[Layer.LEDGER], "ledger")
        assert (done.broken["variable"], done.stderr) == (VARIABLE, "")
        done = examine({**environ, VARIABLE: url_of(tmp_path / "new.db")})
        assert (done.exit_code, "not there yet" in done.stdout) == (0, True)


def test_from_inside_the_programs_own_ledger_is_looked_at(tmp_path: Path) -> None:
    """However it was given; and it delivers, as this very process does."""
    script = (
        "from agent_outcomes import agent_run, doctor, install\n"
        "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
        "trace.set_tracer_provider(TracerProvider())\n"
        f"install(ledger={url_of(tmp_path / 'o.db')!r})\n"
        "with agent_run('a'): pass\ntrace.get_tracer_provider().force_flush()\nprint(doctor.check())\n"
    )
    with OtlpSink(HTTP) as sink:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": HTTP}
        program = tmp_path / "program.py"
        program.write_text(script)
        printed = run_python(program, environ)
    line = next(line for line in printed.splitlines() if line.startswith("ledger"))
    assert "ok" in line
    assert "1 runs, nothing waits" in line
