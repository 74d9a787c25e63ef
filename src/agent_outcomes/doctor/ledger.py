# SPDX-License-Identifier: Apache-2.0
"""The layer `ledger`: it opens, its schema is known, it can be written, and somebody delivers what it holds.

Nothing stays written there; a ledger of an older release is brought up to date by being opened, as by any program.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.api.attached import first_processor
from agent_outcomes.doctor.findings import Layer, export_line, failed, ok, skipped
from agent_outcomes.settings import VARIABLES, SettingsError, read_setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from agent_outcomes.doctor.findings import LayerFinding
    from agent_outcomes.doctor.reach import Deadline
    from agent_outcomes.ledger.location import Location
    from agent_outcomes.ledger.rows import LedgerStatus
    from agent_outcomes.ledger.store import Store

OPENING_MAX_S: Final = 8.0
OLDEST_MAX_S: Final = 120.0
"""How long an event may wait while somebody delivers: several attempts fail until then."""
_VARIABLE: Final = VARIABLES["ledger"]
_NS: Final = 1_000_000_000
_PROBE: Final = "doctor"
_WHY_OPEN: Final = "Without it every outcome waits in the program, and then in a spool file."
_WHY_DELIVERED: Final = "What nobody delivers is safe in the ledger, and in no backend."


class Seen(NamedTuple):
    """What a ledger looks like: its accounting, and until when (Unix nanoseconds) somebody has the right to deliver."""

    status: LedgerStatus
    leased_until_ns: int


class _RolledBack(Exception):  # noqa: N818 - what a probe is to come to
    """The probe has been written as far as it was to be."""


def check_ledger(
    environ: Mapping[str, str], deadline: Deadline, *, is_way_open: bool, looks_inside: bool = False
) -> list[LayerFinding]:
    """Look at the ledger that the variables name, and with `looks_inside` at that of this process. Never raises.

    Where the way to the receiver is not open, that is what keeps things from being delivered.
    """
    try:
        location = _location(environ, looks_inside=looks_inside)
    except SettingsError as error:
        return [_unusable(str(error))]
    if location is None:
        return [skipped(Layer.LEDGER, f"no ledger is set ({_VARIABLE})")]
    if location.path is not None and not location.path.exists():
        return [_not_made(location.path)]
    return [_looked_at(location, deadline.left_s(OPENING_MAX_S), is_way_open=is_way_open)]


def judge_ledger(shown: str, seen: Seen, now_ns: int, *, is_way_open: bool) -> LayerFinding:
    """What there is to say of a ledger that opens and can be written."""
    status = seen.status
    delivers = seen.leased_until_ns > now_ns
    waited_s = 0.0 if status.oldest_waiting_ns is None else max(0.0, (now_ns - status.oldest_waiting_ns) / _NS)
    waiting = f"{status.waiting} events wait, the oldest for {_duration(waited_s)}"
    if status.waiting and not delivers:
        return failed(
            Layer.LEDGER,
            f"nobody delivers, and {waiting}: {shown}",
            why=_WHY_DELIVERED,
            fix="Let a program run that has it open (ledger_deliver=True), or a process that does nothing else:\n"
            "  agent-outcomes ledger deliver",
            variable=VARIABLES["ledger_deliver"],
        )
    if waited_s > OLDEST_MAX_S and is_way_open:
        return failed(
            Layer.LEDGER,
            f"somebody delivers, and yet {waiting}: {shown}",
            why=_WHY_DELIVERED,
            fix="The receiver takes nothing from that process: its log says once a minute why, and so do the layers "
            "below if it has these OTEL_EXPORTER_OTLP_* variables.",
            variable="OTEL_EXPORTER_OTLP_ENDPOINT",
        )
    dead = sum(count for _, count in status.dead)
    parts = (
        f"schema {status.schema}, {status.runs} runs",
        waiting if status.waiting else "nothing waits",
        "delivered by a running process" if delivers else "nobody delivers now",
        f"{dead} dead letters (agent-outcomes ledger dead-letters)" if dead else "",
    )
    return ok(Layer.LEDGER, f"{', '.join(filter(None, parts))}: {shown}")


def _location(environ: Mapping[str, str], *, looks_inside: bool) -> Location | None:
    processor = first_processor() if looks_inside else None
    connection = getattr(processor.sink, "connection", None) if processor is not None else None
    if connection is not None:
        found: Location = connection.location
        return found
    url = read_setting("ledger", None, environ)
    if not isinstance(url, str):
        return None
    from agent_outcomes.ledger.requirements import require_packages  # noqa: PLC0415 - only where there is a ledger

    require_packages()
    from agent_outcomes.ledger.location import read_location  # noqa: PLC0415

    return read_location(url)


def _looked_at(location: Location, limit_s: float, *, is_way_open: bool) -> LayerFinding:
    """Opened, probed and judged in a thread, as a server may take its time to answer."""
    found: list[LayerFinding] = []

    def look() -> None:
        found.append(_look(location, is_way_open=is_way_open))

    thread = threading.Thread(target=look, name="agent-outcomes-doctor", daemon=True)
    thread.start()
    thread.join(limit_s)
    return found[0] if found else _unopened(f"ledger {location}: no answer within {limit_s:.0f} s")


def _look(location: Location, *, is_way_open: bool) -> LayerFinding:
    from agent_outcomes.ledger.location import LedgerError  # noqa: PLC0415 - only where there is a ledger
    from agent_outcomes.ledger.store import Store  # noqa: PLC0415

    try:
        store = Store.open(location, create=False)
        _probe(store)
        seen = Seen(store.status(), _leased_until_ns(store))
        return judge_ledger(str(location), seen, time.time_ns(), is_way_open=is_way_open)
    except LedgerError as error:
        return _unopened(str(error))


def _probe(store: Store) -> None:
    """Write something and take it back. Raises `LedgerError` where it cannot be written."""
    from agent_outcomes.ledger.schema import meta  # noqa: PLC0415 - only where there is a ledger

    def work(connection: Connection) -> None:
        connection.execute(meta.insert().values(name=f"{_PROBE}-{os.getpid()}-{time.time_ns()}", value=""))
        raise _RolledBack

    try:
        store.database.write(work)
    except _RolledBack:
        return


def _leased_until_ns(store: Store) -> int:
    from sqlalchemy import func, select  # noqa: PLC0415 - only where there is a ledger

    from agent_outcomes.ledger.schema import lease  # noqa: PLC0415

    with store.database.reading() as connection:
        return int(connection.execute(select(func.max(lease.c.expires_ns))).scalar() or 0)


def _not_made(path: Path) -> LayerFinding:
    folder = path.parent
    above = folder if folder.exists() else folder.parent
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return ok(Layer.LEDGER, f"not there yet; the first program that opens it makes it: {path}")
    return _unopened(f"ledger {path}: it is not there, and cannot be made in {folder}")


def _unopened(seen: str) -> LayerFinding:
    return failed(
        Layer.LEDGER,
        seen,
        why=_WHY_OPEN,
        fix="Put right what is said above, or name another one:\n"
        + export_line(_VARIABLE, "sqlite:////var/lib/YOUR-APP/outcomes.db"),
        variable=_VARIABLE,
    )


def _unusable(seen: str) -> LayerFinding:
    return failed(
        Layer.LEDGER,
        seen,
        why="install() and AgentOutcomeSpanProcessor() refuse it; opentelemetry-instrument goes without a ledger.",
        fix="Put right what is said above, for example:\n" + export_line(_VARIABLE, "sqlite:///outcomes.db"),
        variable=_VARIABLE,
    )


def _duration(seconds: float) -> str:
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"
