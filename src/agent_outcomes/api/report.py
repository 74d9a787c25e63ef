# SPDX-License-Identifier: Apache-2.0
"""`report_outcome` and `report_cost`: what becomes known of a run hours or days after its end, from any process."""

from __future__ import annotations

import logging
import os
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_outcomes.api.gateway_client import GatewayPlace, ask_gateway, cost_request, outcome_request, read_gateway
from agent_outcomes.foreign_exceptions import class_name, is_theirs_in_given
from agent_outcomes.ledger.book.reading import CostFields, ReportFields, read_cost, read_report
from agent_outcomes.ledger.book.refusals import RefusalCode, Report, ReportRefused, unavailable
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.outcome import misuse
from agent_outcomes.outcome.keywords import STATED_ATTRIBUTES
from agent_outcomes.sdk.processor import PROCESSORS
from agent_outcomes.settings import OWN_POLICY, SettingsError, read_setting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Unpack

    from agent_outcomes.ledger.store import Store
    from agent_outcomes.sdk.ledger_connection import LedgerConnection

REPORT_ATTEMPTS_MAX: Final = 10
FIRST_RETRY_WAIT_S: Final = 2.0
RETRY_WAIT_MAX_S: Final = 90.0

GATEWAY_VARIABLE: Final = "AGENT_OUTCOMES_GATEWAY"
GATEWAY_KEY_VARIABLE: Final = "AGENT_OUTCOMES_GATEWAY_KEY"
_TEXTS: Final = ("message", "metadata")

_log: Final = LimitedLog(logging.getLogger(__name__))


class _Ledger(NamedTuple):
    """Where a report goes, how long it is held there for a run that has not arrived, and which of its texts go not."""

    open: Callable[[], Store]
    hold_s: float
    hidden: frozenset[str]


class _Gateway(NamedTuple):
    """A gateway that a report goes to, and which of its texts go not."""

    place: GatewayPlace
    hidden: frozenset[str]


def report_outcome(
    *,
    ledger: str | None = None,
    gateway: str | None = None,
    key: str | None = None,
    correct: bool = False,
    retry: bool = True,
    **report: Unpack[ReportFields],
) -> Report:
    """State the outcome of a run that has ended, or correct it.

    The run is named by `run_id` (your own key), `trace_id` or `outcome_id`; of several that match `run="latest"` takes
    the one that ended last. Of `success`, `type`, `label`, `value` with `currency`, `message`, `metadata` at least one
    of the first four is stated, in the spellings that spans take; they are the whole result. A `status` is compared
    with the run's and changes nothing. `reported_by`, `reason`, `idempotency_key` (makes a repeat safe) and
    `if_revision` (only if that one stands) are optional. With `correct` another result may take the place of the one
    that stands, and with `retract` that one is taken back: both need a `reason`.

    It goes to the database whose URL is `ledger`, or to the gateway at the URL `gateway` with its `key`. Without either
    `AGENT_OUTCOMES_LEDGER` or `AGENT_OUTCOMES_GATEWAY` (and `AGENT_OUTCOMES_GATEWAY_KEY`) says which, else it is the
    ledger of the processor in this process.

    Blocks: with `retry` what may succeed later is tried 10 times, after 2, 4, 8, ... and at most 90 seconds, or as the
    ledger asks.

    Raises:
        ReportRefused: the report was not taken and has changed nothing; `code`, `fields` and the text say why.
        TypeError: an argument is unknown or of a type that no report has.

    """
    places = {"ledger": ledger, "gateway": gateway, "key": key}
    _check("report_outcome", ReportFields.__annotations__, report, places, {"correct": correct, "retry": retry})
    target = _target(ledger, gateway, key)
    shown: Any = {name: value for name, value in report.items() if name not in target.hidden}
    late = read_report(Reporter(may_correct=correct), **shown)
    if isinstance(target, _Gateway):
        sent = outcome_request(late, shown, correct=correct, own_key=uuid.uuid4().hex)
        return _taken(partial(ask_gateway, target.place, sent), retry)
    now_ns = time.time_ns()
    take = partial(_ask, target, lambda store: store.report(late, now_ns=now_ns, hold_s=target.hold_s))
    return _taken(take, retry)


def report_cost(
    *,
    ledger: str | None = None,
    gateway: str | None = None,
    key: str | None = None,
    retry: bool = True,
    **cost: Unpack[CostFields],
) -> Report:
    """Add a cost that arose after its run had ended: a person's time after an escalation, a bill that came later.

    The run is named as in `report_outcome`. `amount` is a decimal or its text, never negative, in `currency` (USD if
    not given), `kind` one of "llm", "tool", "human", "other". Give an `idempotency_key`, so that a repeat adds
    nothing; without one the same amount by the same reporter within 24 hours is taken for a repeat.

    Blocks, retries and raises as `report_outcome` does.
    """
    places = {"ledger": ledger, "gateway": gateway, "key": key}
    _check("report_cost", CostFields.__annotations__, cost, places, {"retry": retry})
    target, late = _target(ledger, gateway, key), read_cost(**cost)
    if isinstance(target, _Gateway):
        return _taken(partial(ask_gateway, target.place, cost_request(late, cost)), retry)
    now_ns = time.time_ns()
    take = partial(_ask, target, lambda store: store.add_cost(late, now_ns=now_ns, hold_s=target.hold_s))
    return _taken(take, retry)


def asked_again(ask: Callable[[], Report], sleep: Callable[[float], object] = time.sleep) -> Report:
    """What `ask` returns, called again while it is refused for what may pass, as often and as late as said above."""
    wait_s = FIRST_RETRY_WAIT_S
    for _ in range(REPORT_ATTEMPTS_MAX - 1):
        try:
            return ask()
        except ReportRefused as refused:
            if not refused.retryable:
                raise
            asked_s = refused.retry_after_s
        sleep(min(wait_s if asked_s is None else asked_s, RETRY_WAIT_MAX_S))
        wait_s *= 2
    return ask()


def _taken(take: Callable[[], Report], retry: bool) -> Report:  # noqa: FBT001 - private
    def ask() -> Report:
        try:
            return take()
        except ReportRefused:
            raise
        except Exception as error:  # a failure of ours, or of the database's driver
            if is_theirs_in_given(error):
                raise
            name = class_name(type(error))
            _log.warning(f"report_{name}", "a report on an agent outcome failed: %s", name)
            said = f"the ledger failed ({name}); report again later"
            raise unavailable(said) from None

    return asked_again(ask) if retry else ask()


def _ask(target: _Ledger, take: Callable[[Store], Report]) -> Report:
    from agent_outcomes.ledger.location import LedgerError, LedgerUnavailable  # noqa: PLC0415 - for a report only

    try:
        store = target.open()
    except LedgerUnavailable as error:
        raise unavailable(str(error)) from None
    except LedgerError as error:
        raise _no_ledger(str(error)) from None
    return take(store)


def _target(ledger: str | None, gateway: str | None, key: str | None) -> _Ledger | _Gateway:
    """The ledger or the gateway that is meant. Raises `ReportRefused` where there is none, or its URL is wrong."""
    try:
        url = None if gateway is not None else read_setting("ledger", ledger)
        if isinstance(url, str):
            return _ledger_at(url)
    except SettingsError as error:
        raise _no_ledger(str(error)) from None
    url = gateway or (os.environ.get(GATEWAY_VARIABLE, "").strip() if ledger is None else "")
    if url:
        return _gateway_at(url, key)
    connection = _connection_here()
    if connection is None:
        said = (
            "no ledger is named; give ledger= or gateway=, set AGENT_OUTCOMES_LEDGER or AGENT_OUTCOMES_GATEWAY, or "
            "call install(ledger=...)"
        )
        raise _no_ledger(said)
    return _Ledger(connection.open_store, connection.hold_s, _fields(connection.hidden))


def _gateway_at(url: str, key: str | None) -> _Gateway:
    try:
        place = read_gateway(url, key or os.environ.get(GATEWAY_KEY_VARIABLE, "").strip() or None)
        return _Gateway(place, _hidden())
    except SettingsError as error:
        raise ReportRefused(RefusalCode.INVALID_REPORT, str(error), ("gateway",)) from None


def _hidden() -> frozenset[str]:
    """The texts that the settings of this process keep back."""
    return frozenset(name for name in _TEXTS if read_setting(f"hide_{name}"))


def _ledger_at(url: str) -> _Ledger:
    from agent_outcomes.ledger.requirements import require_packages  # noqa: PLC0415 - for a report only

    require_packages()
    from agent_outcomes.ledger.book.policy import Policy  # noqa: PLC0415
    from agent_outcomes.ledger.location import read_location  # noqa: PLC0415
    from agent_outcomes.ledger.store import Store  # noqa: PLC0415

    location, policy = read_location(url), read_setting("ledger_policy")

    def open_store() -> Store:
        # Not made here: a report of what nobody has kept is one to another ledger than is meant.
        store = Store.open(location, create=False)
        if policy not in {OWN_POLICY, store.policy.value}:
            store.settle(Policy(str(policy)))
        return store

    hold_s = read_setting("ledger_hold_s")
    assert isinstance(hold_s, float)
    return _Ledger(open_store, hold_s, _hidden())


def _connection_here() -> LedgerConnection | None:
    """That of the first processor in this process that has a ledger."""
    sinks = (processor.sink for processor in PROCESSORS.open() if processor.is_enabled)
    connections = (getattr(sink, "connection", None) for sink in sinks)
    return next((connection for connection in connections if connection is not None), None)


def _fields(attributes: frozenset[str]) -> frozenset[str]:
    return frozenset(name for name in _TEXTS if STATED_ATTRIBUTES[name] in attributes)


def _no_ledger(message: str) -> ReportRefused:
    return ReportRefused(RefusalCode.INVALID_REPORT, message, ("ledger",))


def _check(
    call: str,
    known: Collection[str],
    given: Mapping[str, object],
    places: Mapping[str, object],
    flags: Mapping[str, object],
) -> None:
    """Raise `TypeError` for what cannot be meant, before anything is done."""
    for name in given:
        if name not in known:
            message = f"{call}() has no argument {name!r}; it takes {', '.join((*known, *places, *flags))}"
            raise TypeError(message)
    for name, place in places.items():
        if place is not None and not isinstance(place, str):
            what = {"ledger": "the URL of a database", "gateway": "the URL of a gateway"}.get(name, "a key")
            message = f"{call}({name}=) takes {what} as text, not {misuse.type_name(place)}"
            raise TypeError(message)
    if places["ledger"] is not None and places["gateway"] is not None:
        message = f"{call}() takes ledger= or gateway=, not both"
        raise TypeError(message)
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            message = f"{call}({name}=) takes True or False, not {misuse.type_name(flag)}"
            raise TypeError(message)
