# SPDX-License-Identifier: Apache-2.0
"""`report_outcome` and `report_cost`: what becomes known of a run hours or days after its end, from any process."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_outcomes.foreign_exceptions import is_theirs_in_given
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

_TEXTS: Final = ("message", "metadata")

_log: Final = LimitedLog(logging.getLogger(__name__))


class _Ledger(NamedTuple):
    """Where a report goes, how long it is held there for a run that has not arrived, and which of its texts go not."""

    open: Callable[[], Store]
    hold_s: float
    hidden: frozenset[str]


def report_outcome(
    *, ledger: str | None = None, correct: bool = False, retry: bool = True, **report: Unpack[ReportFields]
) -> Report:
    """State the outcome of a run that has ended, or correct it.

    The run is named by `run_id` (your own key), `trace_id` or `outcome_id`; of several that match `run="latest"` takes
    the one that ended last. Of `success`, `type`, `label`, `value` with `currency`, `message`, `metadata` at least one
    of the first four is stated, in the spellings that spans take; they are the whole result. A `status` is compared
    with the run's and changes nothing. `reported_by`, `reason`, `idempotency_key` (makes a repeat safe) and
    `if_revision` (only if that one stands) are optional. With `correct` another result may take the place of the one
    that stands, and with `retract` that one is taken back: both need a `reason`. `ledger` is the URL of the database;
    without it that of `AGENT_OUTCOMES_LEDGER`, else the ledger of the processor in this process.

    Blocks: with `retry` what may succeed later is tried 10 times, after 2, 4, 8, ... and at most 90 seconds, or as the
    ledger asks.

    Raises:
        ReportRefused: the report was not taken and has changed nothing; `code`, `fields` and the text say why.
        TypeError: an argument is unknown or of a type that no report has.

    """
    _check("report_outcome", ReportFields.__annotations__, report, ledger, {"correct": correct, "retry": retry})
    target = _ledger(ledger)
    shown: Any = {name: value for name, value in report.items() if name not in target.hidden}
    late = read_report(Reporter(may_correct=correct), **shown)
    now_ns = time.time_ns()
    return _taken(target, retry, lambda store: store.report(late, now_ns=now_ns, hold_s=target.hold_s))


def report_cost(*, ledger: str | None = None, retry: bool = True, **cost: Unpack[CostFields]) -> Report:
    """Add a cost that arose after its run had ended: a person's time after an escalation, a bill that came later.

    The run is named as in `report_outcome`. `amount` is a decimal or its text, never negative, in `currency` (USD if
    not given), `kind` one of "llm", "tool", "human", "other". Give an `idempotency_key`, so that a repeat adds
    nothing; without one the same amount by the same reporter within 24 hours is taken for a repeat.

    Blocks, retries and raises as `report_outcome` does.
    """
    _check("report_cost", CostFields.__annotations__, cost, ledger, {"retry": retry})
    target, late = _ledger(ledger), read_cost(**cost)
    now_ns = time.time_ns()
    return _taken(target, retry, lambda store: store.add_cost(late, now_ns=now_ns, hold_s=target.hold_s))


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


def _taken(target: _Ledger, retry: bool, take: Callable[[Store], Report]) -> Report:  # noqa: FBT001 - private
    def ask() -> Report:
        try:
            return _ask(target, take)
        except ReportRefused:
            raise
        except Exception as error:  # a failure of ours, or of the database's driver
            if is_theirs_in_given(error):
                raise
            name = type(error).__qualname__
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


def _ledger(given: str | None) -> _Ledger:
    """The ledger that is meant. Raises `ReportRefused` where there is none, or its URL is wrong."""
    try:
        url = read_setting("ledger", given)
        if isinstance(url, str):
            return _ledger_at(url)
    except SettingsError as error:
        raise _no_ledger(str(error)) from None
    connection = _connection_here()
    if connection is None:
        said = "no ledger is named; give ledger=, set AGENT_OUTCOMES_LEDGER, or call install(ledger=...)"
        raise _no_ledger(said)
    return _Ledger(connection.open_store, connection.hold_s, _fields(connection.hidden))


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
    hides = {name: read_setting(f"hide_{name}") for name in _TEXTS}
    return _Ledger(open_store, hold_s, frozenset(name for name, is_hidden in hides.items() if is_hidden))


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
    call: str, known: Collection[str], given: Mapping[str, object], ledger: object, flags: Mapping[str, object]
) -> None:
    """Raise `TypeError` for what cannot be meant, before anything is done."""
    for name in given:
        if name not in known:
            message = f"{call}() has no argument {name!r}; it takes {', '.join((*known, 'ledger', *flags))}"
            raise TypeError(message)
    if ledger is not None and not isinstance(ledger, str):
        message = f"{call}(ledger=) takes the URL of a database as text, not {misuse.type_name(ledger)}"
        raise TypeError(message)
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            message = f"{call}({name}=) takes True or False, not {misuse.type_name(flag)}"
            raise TypeError(message)
