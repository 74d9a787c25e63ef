# SPDX-License-Identifier: Apache-2.0
"""Claims: who counted which run first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from opentelemetry.trace import SpanContext

from agent_outcomes.sdk.duplicates import CLAIMS_MAX, Claims


def context(span_id: int, trace_id: int = 1) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False)


def test_the_first_to_claim_a_run_holds_it() -> None:
    """A second owner learns whose it is; the holder itself learns that it had it already."""
    claims, run = Claims(), context(1)
    assert claims.claim(run, "first") == "first"
    assert claims.claim(run, "second") == "first"
    assert claims.claim(run, "first") is None
    assert claims.claim(context(2), "second") == "second"


def test_runs_of_two_providers_with_the_same_ids_are_two() -> None:
    """Ids may be predictable: another provider's span of the same ids is another run."""
    claims = Claims()
    assert claims.claim(context(1), "first") == "first"
    assert claims.claim(context(1), "second") == "second"


def test_the_same_span_id_in_two_traces_is_two_runs() -> None:
    """A run is known by both ids."""
    claims = Claims()
    assert claims.claim(context(1, trace_id=1), "first") == "first"
    assert claims.claim(context(1, trace_id=2), "second") == "second"


def test_claims_are_bounded() -> None:
    """The oldest claim goes when there are too many, the latest ones stay."""
    claims = Claims()
    runs = [context(number) for number in range(1, CLAIMS_MAX + 2)]
    for run in runs:
        assert claims.claim(run, "owner") == "owner"
    assert len(claims._owners) == CLAIMS_MAX
    assert claims.claim(runs[-1], "other") == "owner"
    assert claims.claim(runs[0], "other") == "other"


def test_released_claims_are_forgotten() -> None:
    """What one owner held is anyone's again; what others hold stays theirs."""
    claims, gone, stays = Claims(), object(), object()
    for number in range(1, 11):
        claims.claim(context(number), gone if number % 2 else stays)
    claims.release(gone)
    assert [owner for _, owner, _ in claims._owners.values()] == [stays] * 5
    claims.release(gone)


def test_of_many_threads_one_gets_the_run() -> None:
    """Eight threads claim the same runs at the same moment: each run has exactly one owner."""
    claims, barrier = Claims(), threading.Barrier(8)
    runs = [context(number) for number in range(1, 501)]

    def claim_all(owner: int) -> list[object]:
        barrier.wait(timeout=30)
        return [claims.claim(run, owner) for run in runs]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(claim_all, range(8)))
    for number in range(len(runs)):
        owners = {answers[thread][number] for thread in range(8)}
        (owner,) = owners
        assert [answers[thread][number] == thread for thread in range(8)].count(True) == 1
        assert owner in range(8)
