# SPDX-License-Identifier: Apache-2.0
"""Who is let in, on a ledger of either engine."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.gateway.access.admission import RATE_LIMITED, REMEMBERED_S, Admission, NotAdmitted
from agent_outcomes.gateway.access.blocking import BlockingCalls
from agent_outcomes.gateway.access.callers import LOCAL, Caller
from agent_outcomes.gateway.access.ingest import authorizer
from agent_outcomes.gateway.settings import AccessLimits
from agent_outcomes.ledger.keys import Right, create_key, revoke_key, rotate_key
from tests.clock import Clock
from tests.gateway_api import context_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

HERE = "127.0.0.1"


def refusal(ask: Callable[[], Awaitable[object]]) -> tuple[int, str]:
    async def asked() -> tuple[int, str]:
        with pytest.raises(NotAdmitted) as caught:
            await ask()
        return caught.value.status, caught.value.message

    return asyncio.run(asked())


def test_without_keys_only_this_machine_is_served(kept: Store) -> None:
    """By its own address, by its own name, and not for a page of another site."""
    admission = Admission(kept, BlockingCalls().run)
    assert asyncio.run(admission.caller_of({"host": "localhost:8321"}, HERE)) is LOCAL
    assert asyncio.run(admission.caller_of({}, "::1")) is LOCAL
    assert refusal(lambda: admission.caller_of({"host": "localhost"}, "10.0.0.7"))[0] == 401
    assert refusal(lambda: admission.caller_of({"host": "localhost"}, None))[0] == 401
    assert refusal(lambda: admission.caller_of({"host": "evil.example:8321"}, HERE))[0] == 403
    for name in ("x-forwarded-for", "x-real-ip"):
        assert refusal(partial(admission.caller_of, {"host": "localhost", name: "10.0.0.7"}, HERE))[0] == 401
        assert asyncio.run(admission.caller_of({"host": "localhost", name: HERE}, HERE)) is LOCAL
    crossing = {"host": "localhost", "sec-fetch-site": "cross-site"}
    assert refusal(lambda: admission.caller_of(crossing, HERE))[0] == 403


def test_with_keys_nobody_comes_in_without_one(kept: Store) -> None:
    """Nor with one that is unknown or too long; and what was sent stands in no message."""
    _, secret = create_key(kept, "crm", rights=[Right.REPORT], agents=["support-bot"])
    admission = Admission(kept, BlockingCalls().run)
    for headers in (
        {},
        {"x-api-key": "aok_wrong"},
        {"x-api-key": secret + "x"},
        {"x-api-key": "é"},
        {"x-api-key": "k" * 999},
    ):
        status, message = refusal(partial(admission.caller_of, headers, HERE))
        assert status == 401
        assert not any(value in message for value in headers.values())
    both = {"authorization": f"Bearer {secret}", "x-api-key": "other"}
    assert refusal(lambda: admission.caller_of(both, HERE))[0] == 401
    caller = asyncio.run(admission.caller_of({"authorization": f"Bearer {secret}"}, "10.0.0.7"))
    assert caller == Caller("crm", frozenset({Right.REPORT}), frozenset({"support-bot"}))


def test_a_first_key_closes_the_door_within_a_second(kept: Store) -> None:
    clock = Clock(100.0)
    admission = Admission(kept, BlockingCalls().run, clock_s=clock)
    assert asyncio.run(admission.caller_of({}, HERE)) is LOCAL
    create_key(kept, "crm", rights=[Right.READ])
    clock.now_s += REMEMBERED_S
    assert refusal(lambda: admission.caller_of({}, HERE))[0] == 401


def test_a_key_that_is_revoked_goes_on_for_a_second_at_most(kept: Store) -> None:
    """And then nobody comes in from this machine without one: that the last key was taken away opens no door."""
    _, secret = create_key(kept, "crm", rights=[Right.READ])
    clock, headers = Clock(100.0), {"x-api-key": secret}
    admission = Admission(kept, BlockingCalls().run, clock_s=clock)
    asyncio.run(admission.caller_of(headers, HERE))
    revoke_key(kept, "crm")
    clock.now_s += REMEMBERED_S
    assert refusal(lambda: admission.caller_of(headers, HERE))[0] == 401
    for later in (admission, Admission(kept, BlockingCalls().run)):
        assert refusal(partial(later.caller_of, {}, HERE))[0] == 401


def test_an_old_key_goes_on_beside_its_successor(kept: Store) -> None:
    """For as long as they are to overlap."""
    _, old = create_key(kept, "crm", rights=[Right.READ])
    _, new = rotate_key(kept, "crm", 3600.0)
    admission = Admission(kept, BlockingCalls().run)
    assert asyncio.run(admission.caller_of_secret(old)) == asyncio.run(admission.caller_of_secret(new))


def test_a_ledger_is_asked_once_a_second_for_a_key(kept: Store) -> None:
    """However many requests come with it; for wrong keys each time, so that nothing grows by them."""
    _, secret = create_key(kept, "crm", rights=[Right.READ])
    clock, calls, asked = Clock(100.0), BlockingCalls(), list[object]()

    async def run(call: Callable[[], object]) -> object:
        asked.append(call)
        return await calls.run(call)

    admission = Admission(kept, run, clock_s=clock)  # type: ignore[arg-type]

    async def many() -> None:
        for _ in range(20):
            await admission.caller_of_secret(secret)
            clock.now_s += REMEMBERED_S / 100
        assert len(asked) == 1
        for number in range(20):
            assert await admission.caller_of_secret(f"aok_{number}") is None
        assert len(asked) == 21

    asyncio.run(many())
    assert len(admission._remembered) == 1
    assert secret not in repr(vars(admission))


def test_telemetry_needs_the_right_to_ingest(kept: Store) -> None:
    """What is refused is told, not raised: its receiver has an answer of its own."""
    secrets = {right: create_key(kept, right.value, rights=[right])[1] for right in Right}
    with context_of(kept) as context:
        authorize = authorizer(context)
        told = {right: asyncio.run(authorize({"x-api-key": secret}, HERE)) for right, secret in secrets.items()}
        nobody = asyncio.run(authorize({}, HERE))
    assert {right: getattr(answer, "status", None) for right, answer in told.items()} == {
        Right.INGEST: None,
        Right.READ: 403,
        Right.REPORT: 403,
        Right.CORRECT: 403,
        Right.ADMIN: None,
    }
    assert isinstance(nobody, NotAdmitted)
    assert nobody.status == 401


def test_a_key_that_asks_too_often_waits_and_no_other_does(kept: Store) -> None:
    """Whatever it asks for, telemetry or the API; one that was rotated and its successor are one."""
    _, busy = create_key(kept, "busy", rights=[Right.INGEST])
    _, successor = rotate_key(kept, "busy", 3600.0)
    _, other = create_key(kept, "other", rights=[Right.READ])
    clock = Clock(100.0)
    admission = Admission(kept, BlockingCalls().run, AccessLimits(2, 3), clock)
    told: list[tuple[int, str, str]] = []

    async def ask(secret: str) -> float | None:
        try:
            await admission.sender_of({"x-api-key": secret}, HERE)
        except NotAdmitted as refused:
            told.append((refused.status, refused.code, refused.message))
            return refused.retry_after_s
        return None

    async def ask_all(*secrets: str) -> list[float | None]:
        return [await ask(secret) for secret in secrets]

    assert asyncio.run(ask_all(busy, successor, busy, successor, busy)) == [None, None, None, 0.5, 0.5]
    assert asyncio.run(ask_all(other)) == [None]
    clock.now_s += 0.5
    assert asyncio.run(ask_all(busy, busy)) == [None, 0.5]
    assert {refused[:2] for refused in told} == {(429, RATE_LIMITED)}
    assert not any(secret in refused[2] for refused in told for secret in (busy, successor))


def test_without_keys_nobody_is_told_from_anybody(kept: Store) -> None:
    admission = Admission(kept, BlockingCalls().run, AccessLimits(1, 1), Clock(100.0))

    async def many() -> set[Caller]:
        return {await admission.sender_of({"host": "localhost"}, HERE) for _ in range(50)}

    assert asyncio.run(many()) == {LOCAL}
