# SPDX-License-Identifier: Apache-2.0
"""`install(ledger=...)` in processes of their own: what is in the ledger, and delivered, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from agent_outcomes import AgentOutcomeSpanProcessor
from agent_outcomes.instrumentation.installation import _unattended_settings
from agent_outcomes.settings import Settings, read_settings
from tests.integration.installed import IMPORTED_FROM, PRELUDE, ROOT, otlp_environ, python
from tests.integration.instrumentation.test_exit import EXIT_MAX_S, LATE, SET_UP, run_count, unanswering
from tests.integration.otlp_sink import GRPC, HTTP, OtlpSink, plain
from tests.ledger_pipeline import events_in, store_at, url_of

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "AGENT_OUTCOMES_LEDGER"
DEADLINE_S = 30.0
TOLERANCE = 1.1
"""For a machine that others use, too; what has no bound waits for 10 s and more, for each signal."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return url_of(tmp_path / "outcomes.db")


def agents_at(sink: OtlpSink) -> list[str]:
    return [plain(record.attributes)["gen_ai.agent.name"] for _, record in sink.received.events()]


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_what_a_program_has_accepted_is_delivered_at_its_end(url: str, protocol: str) -> None:
    """Events and totals arrive under the tracer provider's resource; the ledger knows that they have."""
    script = "trace.set_tracer_provider(tracer_provider())\ninstall(ledger=os.environ['URL'])\nfor _ in range(3): run()"
    with OtlpSink(protocol) as sink:
        done = python(script, URL=url, **otlp_environ(sink, sink, protocol, protocol))
        assert (done.code, done.err) == (0, "")
        assert (agents_at(sink), run_count(sink)) == (["bot"] * 3, 3)
        assert {resource["service.name"] for resource, _ in sink.received.events()} == {"shop"}
    status = store_at(url).status()
    assert (status.accepted, status.delivered, status.waiting, status.dead) == (3, 3, 0, ())


@pytest.mark.parametrize("order", list(LATE))
def test_outcomes_of_the_last_moments_are_in_the_ledger(url: str, order: str) -> None:
    """Exit functions of before and after `install()`, finalizers, late threads: each run once, delivered or waiting."""
    with OtlpSink(HTTP) as sink:
        done = python(LATE[order], **otlp_environ(sink, sink, HTTP, HTTP), **{VARIABLE: url})
        assert (done.code, done.err) == (0, "")
        delivered = agents_at(sink)
    early = ["first"] * ("'first'" in order or "finalizer" in order)
    if "between" in order:
        early = ["first", "second"]
    expected = [*early, *["late"] * (3 if "three" in order else 1)]
    store = store_at(url)
    status = store.status()
    assert status.runs == len(expected)
    waiting = [event.attributes["gen_ai.agent.name"] for event in events_in(store)]
    assert sorted([*delivered, *waiting]) == sorted(expected)


@pytest.mark.parametrize("sync", ["true", "false"])
@pytest.mark.parametrize("mode", ["silent", "refused"])
@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_a_process_ends_in_time_and_loses_nothing(url: str, protocol: str, mode: str, sync: str) -> None:
    """At most five seconds after its last line; all runs wait in the ledger."""
    script = f"{SET_UP}\nfor number in range(50): run()\nprint(json.dumps(time.time()), flush=True)"
    with unanswering(mode) as endpoint:
        done = python(
            script,
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            AGENT_OUTCOMES_LEDGER_SYNC=sync,
            **{VARIABLE: url},
        )
    assert done.code == 0
    assert done.at_s - done.report < EXIT_MAX_S * TOLERANCE
    status = store_at(url).status()
    assert (status.runs, status.waiting) == (50, 50)


def test_a_flush_tells_the_truth(url: str) -> None:
    """`False` while nothing listens, though all is committed; `True` when it has arrived."""
    script = SET_UP + "run(); print(json.dumps(trace.get_tracer_provider().force_flush(1500)), flush=True)"
    with unanswering("refused") as endpoint:
        assert python(script, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **{VARIABLE: url}).report is False
    with OtlpSink(HTTP) as sink:
        done = python(script, **otlp_environ(sink, sink, HTTP, HTTP), **{VARIABLE: url})
        assert (done.report, done.err) == (True, "")
        # What the first process left is delivered by the second.
        assert (len(agents_at(sink)), run_count(sink)) == (2, 2)


def test_a_process_that_is_killed_has_lost_nothing(url: str) -> None:
    """SIGKILL right after a run has ended: it is in the ledger, and the next process delivers it."""
    script = SET_UP + "run('killed'); os.kill(os.getpid(), signal.SIGKILL)"
    with unanswering("refused") as endpoint:
        done = python("import signal\n" + script, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **{VARIABLE: url})
    assert done.code == -signal.SIGKILL
    with OtlpSink(HTTP) as sink:
        python(SET_UP + "run('next')", **otlp_environ(sink, sink, HTTP, HTTP), **{VARIABLE: url})
        assert (sorted(agents_at(sink)), run_count(sink)) == (["killed", "next"], 2)


def test_forked_children_share_the_ledger(url: str) -> None:
    """Made before the fork, as by a server's master: the runs of parent and children are each there once.

    Who of them delivers when they end is left open, so that another process delivers what is left.
    """
    script = (
        SET_UP
        + """
run("parent")
children = []
for number in range(4):
    pid = os.fork()
    if not pid:
        for _ in range(5): run("child")
        os._exit(0)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
run("parent")
"""
    )
    with OtlpSink(HTTP) as sink:
        done = python(script, **otlp_environ(sink, sink, HTTP, HTTP), **{VARIABLE: url})
        assert (done.code, done.err) == (0, "")
        assert store_at(url).status().runs == 22
        flushed = python(
            SET_UP + "run('last'); print(json.dumps(trace.get_tracer_provider().force_flush()))",
            **otlp_environ(sink, sink, HTTP, HTTP),
            **{VARIABLE: url},
        )
        assert flushed.report is True
        events = {plain(record.attributes)["log.record.uid"]: record for _, record in sink.received.events()}
        agents = [plain(record.attributes)["gen_ai.agent.name"] for record in events.values()]
        assert sorted(agents) == ["child"] * 20 + ["last"] + ["parent"] * 2
        assert run_count(sink) == 23


def test_no_private_pipeline_is_made(url: str) -> None:
    """The exporters of the SDK are not even imported; ours deliver."""
    script = SET_UP + "run(); report(threads=sorted(one.name for one in threading.enumerate()))"
    with OtlpSink(HTTP) as sink:
        done = python(script, **otlp_environ(sink, sink, HTTP, HTTP), **{VARIABLE: url})
    exporters = [name for name in done.report["exporters"] if name.startswith("opentelemetry")]
    assert (exporters, done.err) == ([], "")
    assert not any("flush" in name or "Batch" in name for name in done.report["threads"])


def test_sigterm_ends_a_program_that_has_told_all(url: str) -> None:
    """Where nobody watches, what a thread of ours had not committed by then is, before the signal ends the process.

    The program looks again and again, as servers do: a signal between two steps of Python's is not seen by a
    `signal.pause()` that begins after it.
    """
    script = (
        "from agent_outcomes.instrumentation.installation import install_unattended\n"
        "trace.set_tracer_provider(tracer_provider())\ninstall_unattended({})\n"
        "import time\nfor _ in range(20): run()\nprint('ready', flush=True)\nwhile True: time.sleep(0.05)"
    )
    environ = {
        "PYTHONPATH": os.pathsep.join([str(IMPORTED_FROM), str(ROOT)]),
        "AGENT_OUTCOMES_LEDGER_SYNC": "false",
        VARIABLE: url,
    }
    with OtlpSink(HTTP) as sink:
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + script],
            env={**environ, **otlp_environ(sink, sink, HTTP, HTTP)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        started_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == -signal.SIGTERM
        process.stdout.close()
        assert time.monotonic() - started_s < EXIT_MAX_S * TOLERANCE
        assert len(agents_at(sink)) == 20


# Where nobody could catch an error


@pytest.mark.parametrize(
    "bad", ["mysql://u:hunter2@h/d", "sqlite:////nonexistent/deeper/o.db", "postgresql://u:hunter2@h:port/d", "perhaps"]
)
def test_unattended_a_bad_ledger_is_named_and_none_is_used(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence without a password; outcomes then go the way they go without a ledger."""
    complaints: list[str] = []
    monkeypatch.setenv(VARIABLE, bad)
    settings = read_settings(**_unattended_settings({}, complaints.append))
    assert settings == Settings()
    assert len(complaints) == 1
    assert complaints[0].endswith("none is used")
    assert "hunter2" not in complaints[0]


def test_unattended_a_ledger_comes_from_an_option_or_its_variable(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every setting; the option of a configuration file comes first."""
    complaints: list[str] = []
    options = {"ledger": url, "ledger_sync": False, "ledger_policy": "latest", "ledger_hold_s": 60}
    monkeypatch.setenv(VARIABLE, "sqlite:////nonexistent/deeper/o.db")
    given = _unattended_settings(options, complaints.append)
    AgentOutcomeSpanProcessor(**given).shutdown()
    settings = read_settings(**given)
    assert settings == Settings(ledger=url, ledger_sync=False, ledger_policy="latest", ledger_hold_s=60.0)
    assert complaints == []
