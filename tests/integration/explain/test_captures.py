# SPDX-License-Identifier: Apache-2.0
"""What frameworks really sent, in Python, JavaScript and Java, through `explain`: runs and usage as the table says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from agent_outcomes.cli import main
from agent_outcomes.explain.explanation import explain_runs
from agent_outcomes.explain.reading import read_spans
from agent_outcomes.explain.replay import replay
from agent_outcomes.run.leaves import Shapes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER: Final = Path(__file__).parents[2] / "captures"
EXPECTED: Final[Mapping[str, Mapping[str, Any]]] = yaml.safe_load((FOLDER / "expected.yaml").read_text())
FIELDS: Final = ("agent", "status", "tokens", "model_calls", "tool_calls")
UNTOLD: Final = ", ..."


@dataclass(frozen=True, slots=True)
class Named:
    """A stack whose scopes and marks no Python instrumentation covers, and the agent's name in a capture of it."""

    capture: str
    name: str


NAMED: Final = (
    Named("vercel_ai6/stream", "weather_agent"),
    Named("vercel_ai7/stream", "weather_agent"),
    Named("vercel_ai7legacy/stream", "weather_agent"),
    Named("mastra/stream", "weather_agent"),
    Named("genkit_js/rate_limited", "supportFlow"),
)


def text_of(capture: str) -> str:
    return (FOLDER / f"{capture}.json").read_text(encoding="utf-8")


def told(text: str) -> list[dict[str, Any]]:
    """The runs of a text, in the words of the table."""
    return [dict(_told(run.attributes)) for run in explain_runs(replay(read_spans(text).spans))]


def _told(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "agent", attributes.get("gen_ai.agent.name")
    yield "status", _status(attributes)
    counts = [attributes.get(f"agent.run.{direction}_tokens") for direction in ("input", "output")]
    yield "tokens", None if counts == [None, None] else counts
    yield "model_calls", attributes.get("agent.run.model_calls")
    yield "tool_calls", attributes.get("agent.run.tool_calls")


def _status(attributes: Mapping[str, Any]) -> str:
    status = str(attributes["agent.outcome.status"])
    if status == "success":
        return status
    retryable = {True: "retryable", False: "final", None: "unknown"}[attributes.get("agent.outcome.retryable")]
    return f"{status}, {attributes.get('agent.outcome.error.category')}, {retryable}"


def agrees(found: list[dict[str, Any]], runs: list[dict[str, Any]]) -> bool:
    return [compared(one, run) for one, run in zip(found, runs, strict=False)] == [
        compared(run, run) for run in runs
    ] and len(found) == len(runs)


def compared(one: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of one that the row tells."""
    fields = {field: one.get(field) for field in FIELDS if field not in run.get("untold", ())}
    if str(run.get("status")).endswith(UNTOLD):
        fields["status"] = str(fields["status"]).partition(",")[0]
    return fields


def test_every_capture_is_in_the_table() -> None:
    """And the other way round."""
    assert {f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("*/*.json")} == set(EXPECTED)


@pytest.mark.parametrize("capture", EXPECTED)
def test_runs_and_usage(capture: str) -> None:
    """As many runs as there were, each with what its spans tell."""
    found, runs = told(text_of(capture)), EXPECTED[capture]["runs"]
    assert agrees(found, runs), (found, runs)


@pytest.mark.parametrize("capture", EXPECTED)
@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["text", "json"])
def test_no_capture_stops_it(capture: str, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """The whole command, in both forms, ends with a run or with none, and with nothing else."""
    expected = 0 if told(text_of(capture)) else 1
    assert main(["explain", str(FOLDER / f"{capture}.json"), *arguments]) == expected
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("capture", EXPECTED)
def test_what_came_before_changes_nothing(capture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans whose shape has been seen before are read another way than the first of their kind, and say the same."""
    monkeypatch.setattr("agent_outcomes.explain.replay._SHAPES", Shapes())
    spans = list(read_spans(text_of(capture)).spans)
    first, *later = [[run.attributes for run in explain_runs(replay(spans))] for _ in range(3)]
    assert later == [first, first]


@pytest.mark.parametrize("named", NAMED, ids=lambda named: named.capture)
@pytest.mark.parametrize("name", ["Order Desk", "lime", "generateText"])
def test_no_name_decides(named: Named, name: str) -> None:
    """Called something else in every place, an agent is found as before, by that name."""
    text = text_of(named.capture)
    runs = [{**run, "agent": name} for run in EXPECTED[named.capture]["runs"]]
    assert agrees(told(text.replace(named.name, name)), runs)


SERVER: Final[Mapping[str, Any]] = {
    "spanId": "00000000000000aa",
    "parentSpanId": "00000000000000bb",
    "flags": 0x301,
    "name": "POST /api/chat",
    "kind": 2,
    "attributes": [{"key": "next.span_type", "value": {"stringValue": "BaseServer.handleRequest"}}],
}
"""A web server's span, called from elsewhere."""


def below_a_server(text: str) -> str:
    """The spans of a capture below that of a web server, as a web framework has them."""
    documents = [json.loads(line) for line in text.splitlines()]
    lists = [scope for line in documents for sent in line["resourceSpans"] for scope in sent["scopeSpans"]]
    spans = [span for scope in lists for span in scope["spans"]]
    for span in spans:
        span.setdefault("parentSpanId", SERVER["spanId"])
    kept = ("traceId", "startTimeUnixNano", "endTimeUnixNano")
    server = {**{key: spans[0][key] for key in kept}, **SERVER}
    documents[0]["resourceSpans"][0]["scopeSpans"].append({"scope": {"name": "next.js"}, "spans": [server]})
    return "\n".join(map(json.dumps, documents))


BELOW_SERVERS: Final = ("vercel_ai6/nested", "vercel_ai7/nested", "mastra/nested", "spring_ai/rate_limited")


@pytest.mark.parametrize("capture", BELOW_SERVERS)
def test_an_agent_below_a_web_server(capture: str) -> None:
    """Every application of a web framework has its agents there."""
    assert told(below_a_server(text_of(capture))) == told(text_of(capture))
