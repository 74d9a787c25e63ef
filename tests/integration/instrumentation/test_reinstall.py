# SPDX-License-Identifier: Apache-2.0
"""`install()` over the lives of several tracer providers: tests, notebooks and sessions shut theirs down."""

from __future__ import annotations

import gc
import logging
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import agent_run, install
from agent_outcomes.instrumentation import installation
from tests.integration.api_pipeline import isolate
from tests.integration.installed import otlp_environ, python
from tests.integration.otlp_sink import HTTP, OtlpSink, plain
from tests.pipeline import EventMemory, total_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Installed:
    """An installation of its own, which hands everything to these two providers."""

    memory: EventMemory = field(default_factory=EventMemory)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.logs = LoggerProvider(shutdown_on_exit=False)
        self.logs.add_log_record_processor(SimpleLogRecordProcessor(self.memory))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    def install(self, provider: TracerProvider) -> None:
        install(provider, logger_provider=self.logs, meter_provider=self.meters)

    def agents(self) -> list[str]:
        return [event.attributes["gen_ai.agent.name"] for event in self.memory.seen()]

    def dropped(self) -> float:
        data = self.reader.get_metrics_data()
        return total_of(data, "agent_outcomes.processor.dropped", {"agent_outcomes.signal": "event"})


def provider() -> TracerProvider:
    return TracerProvider(shutdown_on_exit=False)


def run(tracer_provider: TracerProvider, agent: str = "bot") -> None:
    with agent_run(agent, tracer_provider=tracer_provider):
        pass


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    isolate()
    with monkeypatch.context() as patch:
        patch.setattr(installation, "_installation", installation._Installation())
        yield Installed()


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("with_arguments", [True, False])
def test_install_after_a_shutdown(installed: Installed, *, is_new: bool, with_arguments: bool) -> None:
    """On the same provider or a new one, with the arguments said again or not: outcomes go where they went."""
    first = provider()
    installed.install(first)
    run(first, "one")
    first.shutdown()
    second = provider() if is_new else first
    if with_arguments:
        installed.install(second)
    else:
        install(second)
    run(second, "two")
    assert installed.agents() == ["one", "two"]
    assert install(second).is_enabled


def test_arguments_after_a_shutdown_are_taken(installed: Installed, caplog: pytest.LogCaptureFixture) -> None:
    """A test that installs with an exporter of its own gets its outcomes there, without a warning."""
    first, later = provider(), Installed()
    installed.install(first)
    first.shutdown()
    with caplog.at_level(logging.WARNING):
        second = provider()
        later.install(second)
        run(second)
    assert (installed.agents(), later.agents(), caplog.messages) == ([], ["bot"], [])


def test_one_providers_shutdown_is_its_own(installed: Installed) -> None:
    """Two sessions at once: the end of one is not that of the other, whose runs that wait go on waiting."""
    a, b = provider(), provider()
    installed.install(a)
    install(b)
    outer = b.get_tracer("openinference.instrumentation.langchain").start_span("chain")
    run(a, "a1")
    with trace.use_span(outer):
        run(b, "b1")
    a.shutdown()
    assert installed.agents() == ["a1"]
    run(b, "b2")
    outer.end()
    assert sorted(installed.agents()) == ["a1", "b1", "b2"]
    assert installed.dropped() == 0


def test_runs_after_the_last_shutdown_are_counted_as_dropped(
    installed: Installed, caplog: pytest.LogCaptureFixture
) -> None:
    """Each run once, in one line."""
    only = provider()
    installed.install(only)
    only.shutdown()
    for _ in range(5):
        run(only)
    assert (installed.agents(), installed.dropped()) == ([], 5)
    assert len(caplog.messages) == 1


def test_shutting_the_processor_down_by_hand(installed: Installed) -> None:
    """`install().shutdown()` ends it for all providers; the next `install()` serves them again."""
    a, b = provider(), provider()
    installed.install(a)
    install(b).shutdown()
    run(a)
    install(a)
    run(a, "a")
    run(b, "b")
    assert (installed.agents(), installed.dropped()) == (["a", "b"], 1)


def test_providers_that_are_over_are_not_kept(installed: Installed) -> None:
    """Of two hundred sessions only the first is kept, shut down or not: outcome spans go there."""
    seen = []
    for number in range(200):
        session = provider()
        installed.install(session) if number == 0 else install(session)
        run(session)
        if number % 2:
            session.shutdown()
        seen.append(weakref.ref(session))
        del session
    gc.collect()
    assert [reference for reference in seen[1:] if reference() is not None] == []
    assert len(installed.agents()) == 200


Step = tuple[str, int]


@given(st.lists(st.tuples(st.sampled_from(["install", "run", "run", "shut down"]), st.integers(0, 2)), max_size=25))
@settings(max_examples=60)
def test_every_run_of_an_installed_provider_is_delivered_or_dropped(steps: list[Step]) -> None:
    """In every order of `install()`, runs and shutdowns of three providers: events and drops add up to the runs."""
    isolate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installation, "_installation", installation._Installation())
        kept, providers = Installed(), [provider() for _ in range(3)]
        known, is_open = set[int](), set[int]()
        issued = sure = 0
        for step, number in steps:
            if step == "install":
                kept.install(providers[number])
                known.add(number)
                is_open.add(number)
            elif step == "run":
                run(providers[number])
                issued += number in known
                sure += number in is_open
            else:
                providers[number].shutdown()
                is_open.discard(number)
        assert len(kept.agents()) + kept.dropped() == issued
        assert len(kept.agents()) >= sure
        assert total_of(kept.reader.get_metrics_data(), "agent.runs") == len(kept.agents())


SESSIONS = {
    "install() once, before": ("install()", ""),
    "install() for each": ("", "install(session)"),
    "install() with a first provider": ("trace.set_tracer_provider(tracer_provider()); install()", "install(session)"),
}


@pytest.mark.parametrize("order", list(SESSIONS))
def test_sessions_through_private_pipelines(order: str) -> None:
    """Five sessions, each with a provider that is shut down: five events, and one count that goes up to five."""
    before, each = SESSIONS[order]
    script = f"""
{before}
for number in range(5):
    session = tracer_provider()
    {each}
    run(f"s{{number}}", session.get_tracer("x"))
    session.shutdown()
"""
    with OtlpSink(HTTP) as sink:
        done = python(script, **otlp_environ(sink, sink, HTTP, HTTP))
        assert (done.code, done.err) == (0, "")
        agents = [plain(record.attributes)["gen_ai.agent.name"] for _, record in sink.received.events()]
        assert agents == [f"s{number}" for number in range(5)]
        starts = {
            point.start_time_unix_nano
            for request in sink.received.metrics
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "agent.runs"
            for point in metric.sum.data_points
        }
        assert len(starts) == 5  # a series for each agent, and each with one start only
        assert sum(count for _, count, _ in sink.received.points("agent.runs")) == 5
