# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes explain` on spans as a process or a collector exported them: what it says is what was emitted."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.propagate import extract, inject
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from agent_outcomes.cli import main
from agent_outcomes.explain.reading import SpansError, read_spans
from agent_outcomes.explain.replay import replay
from agent_outcomes.otlp.json_codec import from_otlp_json, to_otlp_json
from tests.pipeline import AGENT, TOOL, Pipeline, call_model, run_agent

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A pipeline whose spans are kept as OTLP JSON."""

    pipeline: Pipeline
    exporter: InMemorySpanExporter

    def text(self) -> str:
        return to_otlp_json(encode_spans(self.exporter.get_finished_spans()))


@pytest.fixture
def recorded() -> Recorded:
    exporter = InMemorySpanExporter()
    return Recorded(Pipeline(after=[SimpleSpanProcessor(exporter)]), exporter)


def explain(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent_outcomes", "explain", "-", *arguments]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False, env=environment)


def objects(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def fail(recorded: Recorded) -> None:
    """A run with two model calls, a tool and a nested agent, which ends in a rate limit."""
    tracer = recorded.pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent boss", attributes=AGENT) as span:
        span.set_attribute("gen_ai.agent.name", "boss")
        span.set_attribute("gen_ai.usage.input_tokens", 20)
        with tracer.start_as_current_span("execute_tool ask", attributes=TOOL):
            run_agent(tracer, "worker", calls=1)
        call_model(tracer, cost=None)
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", "openai.RateLimitError")


def test_each_figure_comes_with_its_reason(recorded: Recorded) -> None:
    """The whole text of one run, as people read it."""
    fail(recorded)
    event = recorded.pipeline.event()
    done = explain(recorded.text())
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"run {event.attributes['agent.outcome.id']}",
        f"  {event.body}",
        "  run        invoke_agent boss",
        "               outermost agent span: gen_ai.operation.name=invoke_agent",
        "  agent      boss",
        "               gen_ai.agent.name",
        "  status     failure",
        "               inferred: the span's error is openai.RateLimitError",
        "  retryable  yes",
        "               category rate_limit, error openai.RateLimitError, remedy retry_later",
        "  outcome    pending",
        "               no agent.outcome.success, .type, .label or .value is stated",
        "  tokens     20 in, 10 out",
        "               from 2 spans; of nested figures the innermost count",
        "  cost       0.01 USD",
        "               incomplete: 1 model call without a cost (chat m)",
        "  spans",
        "    invoke_agent boss: the run, 20 in (repeats the spans below, not counted)",
        "      execute_tool ask: tool call",
        "        invoke_agent worker: handoff: an agent within the run",
        "          chat m: model call, 10 in, 5 out, llm cost 0.01 USD",
        "          execute_tool t: tool call",
        "      chat m: model call, 10 in, 5 out",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Error code: 429 - {}", "the span's status is ERROR, and its message names 429"),
        ("Max iterations of 3 reached!", "the span's status is ERROR, and its message has a form that is known"),
    ],
)
def test_a_message_that_names_the_error(recorded: Recorded, text: str, why: str) -> None:
    """What was read from a message is said to be."""
    with recorded.pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        span.set_status(StatusCode.ERROR, text)
    assert f"               inferred: {why}" in explain(recorded.text()).stdout.splitlines()


def test_an_event_that_says_why_it_stopped(recorded: Recorded) -> None:
    """What a framework's own span event says is told as it said it."""
    tracer = recorded.pipeline.tracer("strands.telemetry.tracer")
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        span.add_event("gen_ai.choice", {"finish_reason": "limit_turns"})
    why = "inferred: an event of the span says why the framework stopped: limit_turns"
    assert f"               {why}" in explain(recorded.text()).stdout.splitlines()


def test_the_attributes_are_those_of_the_event(recorded: Recorded) -> None:
    """Replayed from its spans a run has the very attributes that the processor gave its event."""
    fail(recorded)
    run_agent(recorded.pipeline.tracer(), "b", status="sideways", type="converted", value="12.50", currency="EUR")
    explained = {found["id"]: found for found in objects(explain(recorded.text(), "--json"))}
    for event in recorded.pipeline.events():
        listed = {key: list(value) if isinstance(value, tuple) else value for key, value in event.attributes.items()}
        assert explained[event.attributes["agent.outcome.id"]]["attributes"] == listed


def test_the_demo_explained(tmp_path: Path) -> None:
    """All 1,000 runs of the demo; only a cancellation seen in flight, which no span carries, reads otherwise."""
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    explained = {
        found["id"]: found["attributes"] for found in objects(explain((tmp_path / "traces.json").read_text(), "--json"))
    }
    emitted = dict(_events(tmp_path / "logs.json"))
    assert len(explained) == len(emitted) == 1000
    differing = {
        key
        for key, attributes in emitted.items()
        if explained[key]["agent.outcome.status"] != attributes["agent.outcome.status"]
    }
    assert {emitted[key]["agent.outcome.evidence"] for key in differing} <= {
        "exception:asyncio.exceptions.CancelledError"
    }
    assert len(differing) == 18
    for key, attributes in emitted.items():
        for name in ("agent.outcome.cost", "agent.outcome.value", "agent.run.input_tokens", "agent.outcome.type"):
            assert explained[key].get(name) == attributes.get(name)


def _events(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in path.read_text().splitlines():
        data = from_otlp_json(line, LogsData)
        for record in (r for res in data.resource_logs for scope in res.scope_logs for r in scope.log_records):
            attributes = {
                pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "") for pair in record.attributes
            }
            yield attributes["agent.outcome.id"], attributes


def test_one_run_of_many(recorded: Recorded) -> None:
    """--run takes the start of an id; an id that no run has is an error that says so."""
    for name in ("a", "b"):
        run_agent(recorded.pipeline.tracer(), name)
    wanted = recorded.pipeline.events()[1].attributes["agent.outcome.id"]
    found = objects(explain(recorded.text(), "--json", "--run", wanted[:12].upper()))
    assert [run["id"] for run in found] == [wanted]
    done = explain(recorded.text(), "--run", "xyz")
    assert done.returncode == 1
    assert "no run whose id starts with xyz" in done.stderr


@pytest.mark.parametrize(("wanted", "count"), [("Ticket-4", 2), ("Ticket-41", 1), ("ticket", 0), ("icket-4", 0)])
def test_runs_of_an_id_of_the_applications_own(recorded: Recorded, wanted: str, count: int) -> None:
    """--run takes the start of `run_id`, too, in the very letters in which it was stated."""
    for own in ("Ticket-41", "Ticket-40", "Order-7"):
        run_agent(recorded.pipeline.tracer(), "bot", run_id=own)
    done = explain(recorded.text(), "--json", "--run", wanted)
    assert len(done.stdout.splitlines()) == count
    assert done.returncode == (0 if count else 1)


def test_spans_without_an_agent_are_named_with_the_remedy(recorded: Recorded) -> None:
    """Exit code 1, what was seen, and what would make it a run."""
    tracer = recorded.pipeline.tracer("shop.web")
    for _ in range(3):
        with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER), tracer.start_as_current_span("query"):
            pass
    done = explain(recorded.text())
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no agent run among these spans:\n  3 x 'GET /' of scope 'shop.web'\n  3 x 'query'" in done.stderr
    assert "gen_ai.operation.name=invoke_agent" in done.stderr
    assert "is_run=" in done.stderr


def test_spans_beside_a_run_are_listed(recorded: Recorded) -> None:
    """So that a run which is missing among many can be found."""
    tracer = recorded.pipeline.tracer("shop.web")
    with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER):
        run_agent(tracer, "a")
    done = explain(recorded.text())
    assert done.stdout.endswith("not part of any run:\n  1 x 'GET /' of scope 'shop.web'\n")


def test_problems_are_told_in_a_sentence(recorded: Recorded) -> None:
    """What the event lists by its kind."""
    run_agent(recorded.pipeline.tracer(), "a", status="sideways", value="a lot")
    text = explain(recorded.text()).stdout
    assert "`agent.outcome.status` is 'sideways', which is no known word" in text
    assert "problem    unknown_status:agent.outcome.status\n               The status is no known word." in text
    assert "problem    invalid_amount:agent.outcome.value\n" in text


def test_a_revision_is_explained_as_it_stands_last(recorded: Recorded) -> None:
    """The outer span's business result is the run's."""
    tracer = recorded.pipeline.tracer()
    with tracer.start_as_current_span("job") as job:
        run_agent(tracer, "a")
        job.set_attribute("agent.outcome.type", "converted")
    (run,) = objects(explain(recorded.text(), "--json"))
    assert run["attributes"]["agent.outcome.revision"] == 1
    assert run["why"]["outcome"]["value"] == "success, converted"
    assert "outer span" in run["why"]["status"]["why"]


EVIL: Final = "a\r\nrun FAKE\x1b[2J\x1b]0;t\x07\u202eb\u2066\x00\x9b31m\u2028\u2029\x85\x7f\ud800z"
NASTY: Final = st.text(st.sampled_from(EVIL + "aé "), min_size=1, max_size=40)
HELD_KEYS: Final = (
    "gen_ai.agent.name",
    "gen_ai.conversation.id",
    "gen_ai.request.model",
    "gen_ai.agent.finish_reason",
    "error.type",
    *(f"agent.outcome.{name}" for name in ("label", "message", "job_type", "run_id", "status", "currency", "value")),
    "agent.outcome.error.category",
    "agent.outcome.metadata",
    "agent.outcome.metadata.k",
)


def hostile_spans(texts: dict[str, str]) -> str:
    """A run, and a span of no run, with these texts as attributes and in all other places that take one."""
    recorded = Recorded(Pipeline(after=[SimpleSpanProcessor(exporter := InMemorySpanExporter())]), exporter)
    text = next(iter(texts.values()))
    attributes = {**AGENT, **texts, f"agent.outcome.{text}": "x", f"agent.outcome.metadata.{text}": "y"}
    with recorded.pipeline.tracer(text).start_as_current_span(text, attributes=attributes) as span:
        span.set_status(Status(StatusCode.ERROR, text))
        span.add_event("exception", {"exception.type": text, "exception.message": text})
        call_model(recorded.pipeline.tracer(text), cost=None)
    recorded.pipeline.tracer(text).start_span(text, attributes={"gen_ai.request.model": text}).end()
    return recorded.text()


def explained(text: str, *, as_json: bool) -> str:
    """What the command prints, run in this process; both streams."""
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(stream), redirect_stderr(stream):
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        main(["explain", "-", *(["--json"] if as_json else [])])
    return stream.getvalue()


@settings(deadline=None, max_examples=60)
@given(texts=st.dictionaries(st.sampled_from(HELD_KEYS), NASTY, min_size=1, max_size=6))
@example(texts=dict.fromkeys(HELD_KEYS, EVIL))
def test_no_text_of_telemetry_leaves_its_line_or_acts_on_a_terminal(texts: dict[str, str]) -> None:
    """In any field: no line end that would forge a line, no control character, no mark that turns text around."""
    spans = hostile_spans({key: value.replace("\ud800", "") or "a" for key, value in texts.items()})
    shown = explained(spans, as_json=False)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert [line for line in shown.split("\n") if line.startswith("run FAKE")] == []
    in_json = explained(spans, as_json=True)
    assert all(line.isascii() and line.isprintable() for line in in_json.split("\n"))
    assert [json.loads(line)["id"] for line in in_json.splitlines()] != []


@pytest.mark.parametrize("text", ["\x1b[2J\nFAKE", '{"resourceSpans": [{"scopeSpans": [{"spans": [{"\\u001b\\nFAKE"'])
def test_what_cannot_be_read_is_told_on_one_line(text: str) -> None:
    """Neither the words of the error nor an id that was asked for reaches the terminal raw."""
    shown = explained(text, as_json=False)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert shown.count("\n") == 1


def test_each_process_is_replayed_for_itself() -> None:
    """A remote agent's run counts beside its caller's, although its spans hang below the caller's in the trace."""
    here, there = InMemorySpanExporter(), InMemorySpanExporter()
    caller, callee = Pipeline(after=[SimpleSpanProcessor(here)]), Pipeline(after=[SimpleSpanProcessor(there)])
    carrier: dict[str, str] = {}
    call = caller.tracer().start_as_current_span("invoke_agent b", kind=SpanKind.CLIENT, attributes=AGENT)
    with caller.tracer().start_as_current_span("invoke_agent a", attributes=AGENT), call:
        inject(carrier)
    callee.tracer().start_span("invoke_agent b", extract(carrier), attributes=AGENT).end()
    text = "\n".join(to_otlp_json(encode_spans(each.get_finished_spans())) for each in (here, there))
    result = replay(read_spans(text).spans)
    assert [settlement.run.agent_name for settlement in result.settlements] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no spans in the input"),
        ("{}", "no spans in the input"),
        ('{"resourceSpans": []}\n\n', "no spans in the input"),
        ("hello", "line 1 is not OTLP JSON"),
        ('{"resourceSpans": 3}', "line 1 is not OTLP JSON: resourceSpans"),
        ('{"resourceSpans": []}\n{"resourceSpans": [{"scopeSpans": 1}]}', "line 2 is not OTLP JSON: resourceSpans[0]"),
        ("[" * 5000, "line 1 is not OTLP JSON"),
    ],
)
def test_unusable_input_is_named(text: str, message: str) -> None:
    """Exit code 2 and one line that says where."""
    with pytest.raises(SpansError, match=re.escape(message)):
        read_spans(text)


def test_a_missing_file_and_standard_input(recorded: Recorded) -> None:
    """Both exit with 2 and name what was asked for."""
    command = [sys.executable, "-m", "agent_outcomes", "explain", "no-such-file.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("no-such-file.json: ")
    assert "Traceback" not in done.stderr
    run_agent(recorded.pipeline.tracer())
    assert explain("nonsense").stderr.startswith("-: line 1 is not OTLP JSON")


def test_pretty_printed_json_is_one_document(recorded: Recorded) -> None:
    """As `jq` and people write it."""
    run_agent(recorded.pipeline.tracer(), "a")
    pretty = json.dumps(json.loads(recorded.text()), indent=2)
    assert len(read_spans(pretty).spans) == len(read_spans(recorded.text()).spans) == 4


def test_odd_traces_do_not_confuse_it() -> None:
    """Spans that are their own ancestors, lack an end or a name, or repeat an id."""
    spans: list[dict[str, Any]] = [
        {"traceId": "aa" * 16, "spanId": "01" * 8, "parentSpanId": "02" * 8, "startTimeUnixNano": "5"},
        {"traceId": "aa" * 16, "spanId": "02" * 8, "parentSpanId": "01" * 8, "startTimeUnixNano": "5"},
        {"traceId": "aa" * 16, "spanId": "03" * 8, "parentSpanId": "03" * 8, "endTimeUnixNano": "9"},
        {"traceId": "aa" * 16, "spanId": "03" * 8, "kind": 99, "status": {"code": 7}, "endTimeUnixNano": "9"},
        {
            "traceId": "aa" * 16,
            "spanId": "04" * 8,
            "attributes": [{"key": "agent.outcome.label"}],
            "endTimeUnixNano": "9",
        },
    ]
    text = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    done = explain(text)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
