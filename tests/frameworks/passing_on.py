# SPDX-License-Identifier: Apache-2.0
"""Spans of the lab sent on to a gateway, where `tests.tools.lab_through_gateway` has named one, with what they tell."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final
from urllib.request import ProxyHandler, Request, build_opener

from agent_outcomes.explain.explanation import explain_runs
from agent_outcomes.explain.reading import read_spans
from agent_outcomes.explain.replay import replay

URL: Final = "FRAMEWORKS_GATEWAY"
TOLD: Final = "FRAMEWORKS_TOLD"
"""A file, to which each run is appended as `explain` has it: the attributes of its event, in a line of JSON."""
_TIMEOUT_S: Final = 30.0


def pass_on(text: str) -> None:
    """Send the spans of one scenario, lines of OTLP JSON, if somebody is to have them."""
    url, told = os.environ.get(URL), os.environ.get(TOLD)
    if url is None or told is None or not text.strip():
        return
    for line in text.splitlines():
        request = Request(f"{url}/v1/traces", line.encode(), {"content-type": "application/json"})  # noqa: S310 - loopback
        with build_opener(ProxyHandler({})).open(request, timeout=_TIMEOUT_S) as answer:
            assert json.load(answer) == {}
    result = replay(read_spans(text).spans, keeps_handoffs=False)
    paused = {settlement.run.id for settlement in result.settlements if settlement.paused}
    runs = [dict(run.attributes) for run in explain_runs(result) if run.id not in paused]
    with Path(told).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(run, default=list) + "\n" for run in runs)
