# SPDX-License-Identifier: Apache-2.0
"""The framework lab itself, without any framework: what it calls right, what the fake provider charges, the table."""

from __future__ import annotations

import http.client
import json
import re
import socket
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.frameworks.cast import CASTS
from tests.frameworks.expectations import ExpectedCell, Framework, frameworks
from tests.frameworks.model_server import CLAUDE, MODEL, Charge, Mode, ModelServer
from tests.frameworks.observation import LEDGER, UNDISCOUNTED, Observation, SeenRun, compare_cost, compare_tokens
from tests.frameworks.scenarios import RIGHT, TITLES, Beyond, Right, Scenario, cast_number
from tests.tools import generate_compatibility
from tests.tools.generate_compatibility import Notes, ResultsError, table

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LEDGER_OF_TWO = [Charge.of_call(0, MODEL), Charge.of_call(1, MODEL)]
SUCCESS = SeenRun("a", "success")
CHUNKED = {"Transfer-Encoding": "chunked"}
TOOL = {"type": "function", "name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as made:
        yield made


def ask(server: ModelServer, path: str, **request: Any) -> str:
    body = json.dumps({"model": MODEL, **request}).encode()
    with urllib.request.urlopen(f"{server.url}/{path}", body, 10) as answer:  # noqa: S310 - our own server
        text: str = answer.read().decode()
        return text


def event(charges: list[Charge], *, discounted: bool = True, complete: bool = True) -> dict[str, Any]:
    kinds = ("input", "output", "cached", "reasoning")
    tokens = {
        f"agent.run.{kind}_tokens": sum(getattr(charge, f"{kind}_tokens") for charge in charges) for kind in kinds
    }
    cost = float(sum(charge.cost_usd(discounted=discounted) for charge in charges))
    return {**tokens, "agent.outcome.cost": cost, "agent.outcome.cost_complete": complete}


def test_a_request_in_chunks_is_read(server: ModelServer) -> None:
    """As the clients of Node.js and Java send it."""
    body = json.dumps({"model": MODEL, "messages": []}).encode()
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=10)
    connection.request("POST", "/v1/chat/completions", iter([body[:9], body[9:]]), encode_chunked=True, headers=CHUNKED)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert (answer["model"], server.requests_count) == (MODEL, 1)


@pytest.mark.parametrize(
    ("events", "tokens"),
    [
        ([event(LEDGER_OF_TWO)], LEDGER),
        ([event(LEDGER_OF_TWO[:1]), event(LEDGER_OF_TWO[1:])], LEDGER),
        ([event(LEDGER_OF_TWO[:1])], "input 101 of 212; output 31 of 65; cached 16 of 33; reasoning 5 of 11"),
        (
            [event(LEDGER_OF_TWO), event(LEDGER_OF_TWO[:1])],
            "input 313 of 212; output 96 of 65; cached 49 of 33; reasoning 16 of 11",
        ),
        ([{"agent.run.input_tokens": 212}], "no output"),
        ([{}], "none"),
    ],
)
def test_tokens_are_compared_with_the_ledger(events: list[dict[str, Any]], tokens: str) -> None:
    """A call left out or counted twice shows, and so does a kind of token that nobody reports."""
    assert compare_tokens(LEDGER_OF_TWO, events) == tokens
    assert compare_tokens([], [{}]) is None


@pytest.mark.parametrize(
    ("events", "cost"),
    [
        ([event(LEDGER_OF_TWO)], LEDGER),
        ([event(LEDGER_OF_TWO, discounted=False)], UNDISCOUNTED),
        ([event(LEDGER_OF_TWO, complete=False)], "ledger, incomplete"),
        ([event(LEDGER_OF_TWO[:1])], "0.00003255 of 0.000068325"),
        ([{}], "none"),
    ],
)
def test_costs_are_compared_with_the_ledger(events: list[dict[str, Any]], cost: str) -> None:
    """To the last digit of the provider's own prices."""
    assert compare_cost(LEDGER_OF_TWO, events) == cost
    assert compare_cost([], [{}]) is None


@pytest.mark.parametrize(
    ("observation", "is_right"),
    [
        (Observation((SUCCESS,), tokens=LEDGER, cost=LEDGER), True),
        (Observation((SUCCESS,), tokens=LEDGER, cost=UNDISCOUNTED), True),
        (Observation((SUCCESS, SUCCESS), tokens=LEDGER), False),
        (Observation((), tokens=LEDGER), False),
        (Observation((), tokens=LEDGER, late_runs=1), False),
        (Observation((SUCCESS,), tokens=LEDGER, late_runs=1), False),
        (Observation((replace(SUCCESS, status="failure"),), tokens=LEDGER), False),
        (Observation((SUCCESS,), tokens="none"), False),
        (Observation((SUCCESS,), tokens="input 313 of 212"), False),
        (Observation((SUCCESS,), tokens=LEDGER, cost="1 of 2"), False),
        (Observation((SeenRun(None, "success"),), tokens=LEDGER), True),
    ],
)
def test_what_is_right(observation: Observation, *, is_right: bool) -> None:
    """Each run once, in time, with the right status and all tokens; anything else is not."""
    assert observation.is_right(RIGHT[Scenario.TOOL_SUCCESS]) == is_right
    assert Observation.from_json(json.loads(json.dumps(observation.as_json()))) == observation


def test_what_is_right_may_name_more_than_the_status() -> None:
    """Category and retryability, or the label that the user stated, count where the scenario has them."""
    run = SeenRun("a", "failure", category="rate_limit", retryable=True)
    (right,) = RIGHT[Scenario.RATE_LIMITED]
    assert run.is_as(right)
    assert not replace(run, retryable=None).is_as(right)
    assert not replace(run, category="other").is_as(right)
    assert not run.is_as(Right("failure", label="resolved"))


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
@pytest.mark.parametrize("stream", [False, True])
def test_model_server_charges_what_it_says(server: ModelServer, path: str, *, stream: bool) -> None:
    """Both wire formats, streamed or not: the answer's usage is the ledger's, first a tool, then the answer."""
    declared = TOOL if path == "responses" else {"type": "function", "function": TOOL}
    first = ask(server, path, tools=[declared], stream=stream)
    said = {"input": [{"type": "function_call_output"}]} if path == "responses" else {"messages": [{"role": "tool"}]}
    second = ask(server, path, tools=[declared], stream=stream, **said)
    assert '\\"city\\": \\"Paris\\"' in first
    assert "It is sunny in Paris." in second
    assert server.ledger == LEDGER_OF_TWO
    for charge, answer in zip(server.ledger, (first, second), strict=True):
        assert f'_tokens": {charge.input_tokens}, ' in answer
        assert f'_tokens": {charge.output_tokens}, ' in answer


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_counts_cached_tokens_beside_the_input(server: ModelServer, *, stream: bool) -> None:
    """In Anthropic's wire format, streamed or not: the parts add up to the ledger's, first a tool, then the answer."""
    declared = {"name": "weather", "input_schema": TOOL["parameters"]}
    first = ask(server, "messages", model=CLAUDE, tools=[declared], stream=stream)
    said = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_0", "content": "sunny"}]}]
    second = ask(server, "messages", model=CLAUDE, tools=[declared], messages=said, stream=stream)
    assert "tool_use" in first
    assert "It is sunny in Paris." in second
    for charge, answer in zip(server.ledger, (first, second), strict=True):
        uncached = charge.input_tokens - charge.cached_tokens
        assert f'"input_tokens": {uncached}, "cache_read_input_tokens": {charge.cached_tokens}, ' in answer
        assert f'"output_tokens": {charge.output_tokens}}}' in answer


def test_model_server_answers_as_a_framework_needs(server: ModelServer) -> None:
    """The tool that is to be called first, an argument that is given, an answer that is written for the question."""
    server.first_tools, server.arguments = {"weather"}, {"city": "Riga", "unknown": 1}
    server.write = lambda said: f"You said {said}"
    others = [{"type": "function", "function": {"name": name}} for name in ("think", "wait")]
    first = ask(server, "chat/completions", tools=[*others, {"type": "function", "function": TOOL}])
    assert '"name": "weather", "arguments": "{\\"city\\": \\"Riga\\"}"' in first
    assert "You said [" in ask(server, "chat/completions")


@pytest.mark.parametrize("path", ["chat/completions", "messages"])
@pytest.mark.parametrize(("mode", "status"), [(Mode.RATE_LIMITED, 429), (Mode.UNAVAILABLE, 503)])
def test_model_server_refuses(server: ModelServer, mode: Mode, status: int, path: str) -> None:
    """A refused call has the code and Retry-After, and is not charged."""
    server.reset(mode)
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(server, path)
    assert (caught.value.code, caught.value.headers["retry-after"]) == (status, "1")
    caught.value.close()
    assert server.ledger == []


def test_caller_who_hangs_up_is_not_charged(server: ModelServer) -> None:
    """A slow answer goes out when it is released; to a caller who is gone it does not, at no charge."""
    server.reset(Mode.SLOW)
    host, port = server.url.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port))) as caller:
        caller.sendall(b"POST /v1/responses HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
        server.wait_until_asked()
    server.release()
    assert "It is sunny" in ask(server, "responses")
    assert server.ledger == LEDGER_OF_TWO[:1]


def test_casts_share_no_word_and_take_turns() -> None:
    """No name is part of another, every cast plays, and what is seen is told without their names."""
    names = [name for cast in CASTS for name in (cast.lead, cast.inner)]
    assert all(one == other or one.lower() not in other.lower() for one in names for other in names)
    assert {cast_number(scenario) for scenario in (*Scenario, *Beyond)} == set(range(len(CASTS)))
    attributes = {"agent.outcome.status": "success", "gen_ai.agent.name": f"{CASTS[1].lead}.run"}
    assert SeenRun.of(attributes, CASTS[1]).agent == "<lead>.run"
    assert SeenRun.of(attributes, CASTS[2]).agent == "ledger_sweeper.run"
    assert CASTS[0].subclass(Right).__name__ == CASTS[0].lead
    assert issubclass(CASTS[0].inner_subclass(Right), Right)


def framework(cell: ExpectedCell) -> Framework:
    return Framework("lab", "Lab", "native", "genai", ("pytest",), cells=dict.fromkeys(Scenario, cell))


def written(folder: Path, made: Framework, **remedies: Any) -> Path:
    cells = {name.value: cell.observation.as_json() for name, cell in made.cells.items() if cell.observation}
    path = folder / "results" / "lab.json"
    path.parent.mkdir()
    path.write_text(
        json.dumps({"versions": {"pytest": "1.2"}, "names": ["a", "b", "c"], "cells": cells, "remedies": remedies})
    )
    return path


def test_table_numbers_each_note_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that is not right has its note's number, and one note serves all that say the same."""
    monkeypatch.setattr(generate_compatibility, "HERE", tmp_path)
    made = framework(ExpectedCell(Observation((SUCCESS,), tokens="none"), "No tokens are reported."))
    written(tmp_path, made)
    lines = table((made,)).splitlines()
    assert lines[2] == f"| Lab 1.2 | native |{' 1 |' * len(Scenario)} ✓ |"
    assert lines[4:] == ["1. No tokens are reported.", ""]


def test_table_is_not_made_from_other_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results that are missing, or are not those that the tests expect, are named; so is a remedy in vain."""
    monkeypatch.setattr(generate_compatibility, "HERE", tmp_path)
    wrong = Observation((replace(SUCCESS, status="unknown"),), tokens=LEDGER)
    made = framework(ExpectedCell(wrong, "It hides it.", "call `agent_run`."))
    with pytest.raises(ResultsError, match=r"lab\.json is missing"):
        table((made,))
    written(tmp_path, made, **{name.value: wrong.as_json() for name in Scenario})
    with pytest.raises(ResultsError, match="the remedy does not help"):
        table((made,))
    path = tmp_path / "results" / "lab.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "names": ["a", "b", "a"]}))
    with pytest.raises(ResultsError, match="too few"):
        table((made,))
    path.write_text(json.dumps({**known, "cells": {}}))
    with pytest.raises(ResultsError, match="other cells"):
        table((made,))


def test_table_says_what_is_wrong_by_our_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen is not what is expected, so that no note excuses it: the table says so until it is mended."""
    monkeypatch.setattr(generate_compatibility, "HERE", tmp_path)
    wrong = Observation((replace(SUCCESS, status="unknown"),), tokens=LEDGER)
    written(tmp_path, framework(ExpectedCell(wrong, "It hides it.")))
    made = framework(ExpectedCell(Observation((SUCCESS,), tokens=LEDGER)))
    assert table((made,)).splitlines()[2] == f"| Lab 1.2 | native |{' ✗ |' * len(Scenario)} ✓ |"


def test_notes_of_all_frameworks_say_something() -> None:
    """Every scenario has a title, and every footnote is a sentence."""
    assert set(TITLES) == set(RIGHT) == set(Scenario)
    assert Notes().number("Because.") == 1
    cells = [cell for each in frameworks() for cell in each.cells.values() if cell.footnote is not None]
    assert [cell for cell in cells if not (cell.footnote or "").strip().endswith(".")] == []


def test_every_environment_is_run() -> None:
    """Those that have a lock file are those of nox, and those of `make frameworks`."""
    locked = {path.stem for path in (ROOT / "tests" / "frameworks" / "environments").glob("*.txt")}
    listed = re.search(r"^ENVIRONMENTS := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.search(r"^NAMES: Final = \((.*)\)$", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed is not None
    assert named is not None
    assert sorted(listed[1].split()) == sorted(locked)
    assert set(re.findall(r"\w+", named[1])) == locked
