# SPDX-License-Identifier: Apache-2.0
"""The history of a ledger as a table: one row for each revision, with who, when, why, and exact amounts.

After them comes one for each time that a run has stopped to wait for a person, whose `change` is `paused`: it has no
revision, no status and no state, and what it had used is no other run's. So the costs of all runs are those of the last
revision of each and of each pause.

Texts are as they were stated. Amounts are decimal texts, in Parquet `decimal128(38, 12)`. Times are to the nanosecond,
in Parquet to the microsecond, as few readers have a type for less.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Final

from agent_outcomes.outcome.amounts import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from decimal import Decimal

    from agent_outcomes.ledger.book.content import Content
    from agent_outcomes.ledger.rows import PauseRow, RevisionRow
    from agent_outcomes.run.model import Cost

    _Value = str | int | float | bool | Decimal | None
    Exported = dict[str, _Value]

PARQUET_ROWS: Final = 5_000
TEXT: Final = "text"
INTEGER: Final = "integer"
NUMBER: Final = "number"
FLAG: Final = "flag"
TIME: Final = "time"
AMOUNT: Final = "amount"
COLUMNS: Final[dict[str, str]] = {
    "outcome_id": TEXT,
    "revision": INTEGER,
    "change": TEXT,
    "reported_at": TIME,
    "reported_by": TEXT,
    "reason": TEXT,
    "recorded_at": TIME,
    "ended_at": TIME,
    "run_id": TEXT,
    "agent_name": TEXT,
    "agent_id": TEXT,
    "conversation_id": TEXT,
    "job_type": TEXT,
    "status": TEXT,
    "retryable": FLAG,
    "error_category": TEXT,
    "error_type": TEXT,
    "source": TEXT,
    "evidence": TEXT,
    "state": TEXT,
    "success": FLAG,
    "type": TEXT,
    "label": TEXT,
    "value": AMOUNT,
    "currency": TEXT,
    "message": TEXT,
    "metadata": TEXT,
    "costs": TEXT,
    "cost_complete": FLAG,
    "duration_s": NUMBER,
    "input_tokens": INTEGER,
    "output_tokens": INTEGER,
    "model_calls": INTEGER,
    "tool_calls": INTEGER,
    "problems": TEXT,
    "digest": TEXT,
}
"""The columns and their kinds. `costs` and `problems` are JSON."""
PAUSED: Final = "paused"
_OF_RUN: Final = (
    *("ended_at", "run_id", "agent_name", "agent_id", "conversation_id", "job_type", "costs", "cost_complete"),
    *("input_tokens", "output_tokens", "model_calls", "tool_calls", "problems"),
)


class _Counted:
    """A file that only takes bytes, a pipe say, and knows how many: all that a Parquet writer asks."""

    closed = False

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._count = 0

    def write(self, content: bytes) -> int:
        self._out.write(content)
        self._count += len(content)
        return len(content)

    def tell(self) -> int:
        return self._count

    def flush(self) -> None:
        self._out.flush()

    def close(self) -> None:
        self.flush()


def exported(row: RevisionRow) -> Exported:
    """A revision as a row; of one that was pruned only what is left."""
    made: Exported = dict.fromkeys(COLUMNS)
    made |= {
        "outcome_id": row.outcome_id,
        "revision": row.revision,
        "change": None if row.change is None else row.change.value,
        "reported_at": row.reported_ns,
        "recorded_at": row.recorded_ns,
        "ended_at": row.of.end_ns,
        "run_id": row.of.run_id,
        "agent_name": row.of.agent_name,
        "status": row.of.status,
        "digest": row.digest.hex(),
    }
    return made if row.content is None else made | _of_content(row.content)


def exported_pause(row: PauseRow) -> Exported:
    """A run that waits for a person as a row: who it is and what it has used, and nothing of an outcome."""
    made: Exported = dict.fromkeys(COLUMNS)
    made |= {
        "outcome_id": row.outcome_id,
        "change": PAUSED,
        "recorded_at": row.recorded_ns,
        "ended_at": row.end_ns,
        "run_id": row.run_id,
        "agent_name": row.agent_name,
        "digest": row.digest.hex(),
    }
    if row.content is not None:
        told = _of_content(row.content)
        made |= {name: told[name] for name in _OF_RUN}
    return made


def plain_row(row: Exported) -> dict[str, Any]:
    """A row in JSON's types: times in ISO 8601, amounts in plain digits."""
    return {name: _plain(COLUMNS[name], value) for name, value in row.items()}


def write_jsonl(rows: Iterable[Exported], out: IO[bytes], told: Callable[[int], object]) -> int:
    """One JSON object a line; how many. `told` hears the count now and then."""
    count = 0
    for count, row in enumerate(rows, 1):
        out.write(json.dumps(plain_row(row)).encode("ascii") + b"\n")
        _tell(count, told)
    told(count)
    return count


def write_csv(rows: Iterable[Exported], out: IO[bytes], told: Callable[[int], object]) -> int:
    """CSV in UTF-8 with a header; what is absent is empty, and lone surrogates are escaped. How many rows."""
    text = io.TextIOWrapper(out, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    count = 0
    for count, row in enumerate(rows, 1):
        writer.writerow(plain_row(row).values())
        _tell(count, told)
    text.detach()
    told(count)
    return count


def write_parquet(rows: Iterator[Exported], out: IO[bytes], told: Callable[[int], object]) -> int:
    """Parquet, in groups of `PARQUET_ROWS` rows; how many. Raises `ImportError` without pyarrow."""
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet  # noqa: PLC0415

    kinds = {
        TEXT: pa.string(),
        INTEGER: pa.int64(),
        NUMBER: pa.float64(),
        FLAG: pa.bool_(),
        TIME: pa.timestamp("us", tz="UTC"),
        AMOUNT: pa.decimal128(38, 12),
    }
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])

    def write_groups(writer: parquet.ParquetWriter) -> int:
        count = 0
        while group := list(islice(rows, PARQUET_ROWS)):
            columns = [pa.array([_storable(field.name, row) for row in group], field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            count += len(group)
            told(count)
        return count

    with parquet.ParquetWriter(pa.PythonFile(_Counted(out), mode="w"), schema) as writer:
        count = write_groups(writer)
    told(count)
    return count


def time_text(time_ns: int) -> str:
    """A time in ISO 8601, in UTC and to the nanosecond."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _of_content(content: Content) -> Exported:
    run, outcome = content.run, content.outcome
    return {
        "reported_by": content.reported_by,
        "reason": content.reason,
        "ended_at": run.end_ns,
        "run_id": run.run_id,
        "agent_name": run.agent_name,
        "agent_id": run.agent_id,
        "conversation_id": run.conversation_id,
        "job_type": run.job_type,
        "status": outcome.status.value,
        "retryable": outcome.retryable,
        "error_category": outcome.error_category,
        "error_type": outcome.error_type,
        "source": outcome.source.value,
        "evidence": outcome.evidence or None,
        "state": outcome.state.value,
        "success": outcome.business_success,
        "type": None if outcome.type is None else outcome.type.value,
        "label": outcome.label,
        "value": outcome.value,
        "currency": None if outcome.value is None else outcome.currency,
        "message": outcome.message,
        "metadata": outcome.metadata,
        "costs": _costs(run.cost),
        "cost_complete": run.cost.complete,
        "duration_s": run.duration_s,
        "input_tokens": run.usage.input_tokens,
        "output_tokens": run.usage.output_tokens,
        "model_calls": run.usage.model_calls,
        "tool_calls": run.usage.tool_calls,
        "problems": json.dumps([str(problem) for problem in outcome.problems]) if outcome.problems else None,
    }


def _costs(cost: Cost) -> str | None:
    parts = [
        {"kind": part.kind.value, "currency": part.currency, "amount": plain_text(part.amount)} for part in cost.parts
    ]
    return json.dumps(parts) if parts else None


def _plain(kind: str, value: _Value) -> Any:
    if value is None:
        return None
    if kind == TIME:
        return time_text(int(value))
    if kind == AMOUNT:
        return plain_text(value)  # type: ignore[arg-type]  # a column's kind says what its values are
    return value


def _storable(name: str, row: Exported) -> _Value:
    """A value as Parquet takes it: text that it can hold, and times in microseconds."""
    value = row[name]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value // 1_000 if COLUMNS[name] == TIME and isinstance(value, int) else value


def _tell(count: int, told: Callable[[int], object]) -> None:
    if count % PARQUET_ROWS == 0:
        told(count)
