# SPDX-License-Identifier: Apache-2.0
"""When a gateway may be sent more."""

from __future__ import annotations

import pytest

from agent_outcomes.gateway.serving.readiness import WAITED_LONG_S, Disk, Vitals, judged

pytestmark = pytest.mark.backends
GIB = 2**30


@pytest.mark.parametrize(
    ("vitals", "code"),
    [
        (Vitals(is_ending=True), "ending"),
        (Vitals(ledger_error="ledger x: it is read-only"), "ledger"),
        (Vitals(disks=(Disk("the ledger", 40 * 2**20, GIB),)), "disk"),
        (Vitals(journal_bytes=95, journal_max_bytes=100), "journal"),
        (Vitals(is_delivery_dead=True), "delivery"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_keeps_it_from_being_ready(vitals: Vitals, code: str) -> None:
    """Each by its own code, and by nothing else."""
    found = judged(vitals)
    assert [reason.code for reason in found.reasons] == [code]
    assert not found.is_ready


@pytest.mark.parametrize(
    "vitals",
    [
        Vitals(),
        Vitals(disks=(Disk("the ledger", 2 * GIB, 1000 * GIB), Disk("the state folder", GIB // 2, GIB))),
        Vitals(journal_bytes=94, journal_max_bytes=100),
    ],
)
def test_what_does_not(vitals: Vitals) -> None:
    """A large disk with little of it free, and a journal that has room."""
    assert judged(vitals).is_ready
    assert judged(vitals).warnings == ()


def test_warnings_do_not_keep_it_from_being_ready() -> None:
    """An outage of the receiver is no reason to turn senders away, nor is what counts twice."""
    found = judged(Vitals(waited_s=WAITED_LONG_S + 1, advice="3 runs were counted twice: ..."))
    assert found.is_ready
    assert [reason.code for reason in found.warnings] == ["delivery_waits", "counted_twice"]
    assert found.warnings[1].text == "3 runs were counted twice: ..."
