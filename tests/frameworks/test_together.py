# SPDX-License-Identifier: Apache-2.0
"""Beside the SDKs of others, whichever is set up first: every run once and right, and their spans reach them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from tests.frameworks.conftest import ROOT

LIMIT_S = 120
SUCCESS = {"status": "success", "category": None}
RATE_LIMITED = {"status": "failure", "category": "rate_limit"}
SDKS = ("langfuse", "logfire", "openinference", "traceloop")
ORDERS = ("theirs-first", "ours-first")
# A span that each SDK makes of a model call, by the kind of agent that calls.
THEIR_SPANS = {
    ("langfuse", "framework"): "generation",
    ("langfuse", "own"): "OpenAI-generation",
    ("logfire", "framework"): "Chat completion with {gen_ai.request.model!r}",
    ("logfire", "own"): "Chat Completion with {request_data[model]!r}",
    ("openinference", "framework"): "ChatCompletion",
    ("openinference", "own"): "ChatCompletion",
    ("traceloop", "framework"): "openai.chat",
    ("traceloop", "own"): "openai.chat",
}


@cache
def seen(sdk: str, order: str) -> dict[str, Any]:
    """What the application says, in a process of its own: an SDK can be set up only once."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, "-m", "tests.frameworks.together_app", sdk, order]
    ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, timeout=LIMIT_S, check=True)
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("agent", ["framework", "own"])
def test_every_run_once(sdk: str, order: str, agent: str) -> None:
    """One event and one count for each run, with its status and with the tokens that the provider counted."""
    answers = seen(sdk, order)["answers"]
    good, bad = answers[f"{agent} ANSWER"], answers[f"{agent} RATE_LIMITED"]
    assert (good["raised"], good["runs"], good["counted"], good["tokens"]) == (None, [SUCCESS], 1, "ledger")
    assert (bad["raised"], bad["runs"], bad["counted"], bad["tokens"]) == ("RateLimitError", [RATE_LIMITED], 1, None)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sdk", SDKS)
def test_their_spans_reach_them(sdk: str, order: str) -> None:
    """The SDK's own exporter has its spans of every run, and that of `agent_run`."""
    answers = seen(sdk, order)["answers"]
    for agent in ("framework", "own"):
        for mode in ("ANSWER", "RATE_LIMITED"):
            assert THEIR_SPANS[sdk, agent] in answers[f"{agent} {mode}"]["their_spans"]
    assert "invoke_agent own_agent" in answers["own ANSWER"]["their_spans"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sdk", SDKS)
def test_nothing_to_complain_of(sdk: str, order: str) -> None:
    """We have nothing to warn of, and nothing tried to leave this machine."""
    assert seen(sdk, order)["said"] == []
    assert seen(sdk, order)["strangers"] == []
