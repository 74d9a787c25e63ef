# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of a gateway, by its answers."""

from __future__ import annotations

import pytest

from agent_outcomes._version import __version__
from agent_outcomes.doctor.findings import Layer, LayerState
from agent_outcomes.doctor.gateway import KEY_VARIABLE, URL_VARIABLE, Reply, check_gateway, judge_gateway
from agent_outcomes.doctor.reach import Deadline

pytestmark = pytest.mark.backends
URL = "http://gateway.example:8321"
READY = Reply(200, {"version": __version__, "reasons": [], "warnings": []})
RUNS = Reply(200, {"runs": []})


def test_all_is_well() -> None:
    """Its version, and whether it was a key that let us in."""
    found = judge_gateway(URL, READY, RUNS, has_key=True)
    assert (found.layer, found.state) == (Layer.GATEWAY, LayerState.OK)
    assert found.seen == f"version {__version__}, ready, our key is taken: {URL}"
    assert "no key is needed" in judge_gateway(URL, READY, RUNS, has_key=False).seen


def test_a_key_that_may_report_but_not_read_is_taken() -> None:
    """A 403 tells that the gateway knows it."""
    assert judge_gateway(URL, READY, Reply(403, {}), has_key=True).state is LayerState.OK


def test_another_version_and_warnings_are_said() -> None:
    """They break nothing by themselves."""
    ready = Reply(200, {"version": "99.1", "warnings": [{"code": "counted_twice"}, 7]})
    seen = judge_gateway(URL, ready, RUNS, has_key=False).seen
    assert "version 99.1 (here" in seen
    assert "look: counted_twice" in seen


@pytest.mark.parametrize(
    ("ready", "runs", "has_key", "words", "variable"),
    [
        (READY, Reply(401, {}), True, "does not know our key", KEY_VARIABLE),
        (READY, Reply(401, {}), False, "wants a key", KEY_VARIABLE),
        (Reply(503, {"version": "1", "reasons": [{"code": "disk"}]}), RUNS, True, "not ready (disk)", URL_VARIABLE),
        (Reply(200, {}), RUNS, True, "something else answers there", URL_VARIABLE),
        (Reply(302, {}), RUNS, True, "something else answers there, with 302", URL_VARIABLE),
    ],
)
def test_what_is_broken_is_named_with_its_fix(
    ready: Reply, runs: Reply, words: str, variable: str, *, has_key: bool
) -> None:
    """And the variable to change."""
    found = judge_gateway(URL, ready, runs, has_key=has_key)
    assert found.state is LayerState.FAIL
    assert words in found.seen
    assert found.variable == variable
    assert variable in found.fix or "readyz" in found.fix


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "gateway", "http://[", "ftp://x:1", "http://127.0.0.1:99999"])
def test_what_cannot_be_reached_is_said_and_raises_nothing(url: str) -> None:
    """Nobody listens, or it is no URL; a secret in either variable is not shown."""
    environ = {URL_VARIABLE: url.replace("://", "://user:hunter2@"), KEY_VARIABLE: "aok_hunter2"}
    found = check_gateway(environ, Deadline(5.0))
    assert found.state is LayerState.FAIL
    assert "hunter2" not in f"{found.seen}{found.fix}"


def test_without_a_gateway_there_is_nothing_to_look_at() -> None:
    """The usual case."""
    assert check_gateway({}, Deadline(5.0)).state is LayerState.SKIPPED
