# SPDX-License-Identifier: Apache-2.0
"""What leaves a ledger: `export`, `dead-letters` and `deliver`."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from agent_outcomes.ledger import dead_letters as letters
from agent_outcomes.ledger import exporting
from agent_outcomes.ledger_command.exit_codes import ALL_DONE, DIFFERS, INVALID_INPUT, CommandError
from agent_outcomes.ledger_command.output import complain, print_table, progress, say, say_json, when
from agent_outcomes.ledger_command.running import range_of, store_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    from agent_outcomes.ledger.exporting import Exported


def export_command(options: Namespace) -> int:
    """Write the history to standard output or a new file; the exit code."""
    if options.format == "parquet" and find_spec("pyarrow") is None:
        raise CommandError(INVALID_INPUT, "parquet needs pyarrow: pip install 'otel-agent-outcomes[parquet]'")
    if options.json and options.format != "jsonl":
        raise CommandError(INVALID_INPUT, f"--json is --format jsonl, and does not go with --format {options.format}")
    since_ns, until_ns = range_of(options, time.time_ns())
    store = store_of(options)
    pauses = map(exporting.exported_pause, store.pauses(since_ns, until_ns))
    history = chain(map(exporting.exported, store.revisions(since_ns, until_ns)), pauses)
    rows = (row for row in history if options.agent is None or row["agent_name"] == options.agent)
    with progress("exporting") as told:
        count = _written(options, rows, lambda done: told(done, None))
    if options.output is not None:
        complain(f"{count:,} revisions and pauses were written to {options.output}")
    return ALL_DONE


def _written(options: Namespace, rows: Iterator[Exported], told: Callable[[int], object]) -> int:
    if options.output is None:
        if options.format == "parquet" and sys.stdout.isatty():
            raise CommandError(INVALID_INPUT, "Parquet is no text for a terminal; give --output FILE, or > FILE")
        count = _write(options.format, rows, sys.stdout.buffer, told)
        sys.stdout.buffer.flush()
        return count
    path = Path(options.output)
    try:
        out = path.open("xb")
    except FileExistsError:
        raise CommandError(INVALID_INPUT, f"--output {path} is there already; name a new file") from None
    except OSError as error:
        raise CommandError(INVALID_INPUT, f"--output {path} cannot be written: {error.strerror}") from None
    try:
        with out:
            return _write(options.format, rows, out, told)
    except BaseException as error:
        # A part of the history looks like the whole of it.
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise CommandError(INVALID_INPUT, f"--output {path} cannot be written: {error.strerror}") from None
        raise


def _write(format_: str, rows: Iterator[Exported], out: IO[bytes], told: Callable[[int], object]) -> int:
    write = {
        "parquet": exporting.write_parquet,
        "csv": exporting.write_csv,
        "jsonl": exporting.write_jsonl,
    }[format_]
    return write(rows, out, told)


def dead_letters_command(options: Namespace) -> int:
    """List what a receiver has refused, or have it delivered once more; the exit code."""
    store = store_of(options)
    ids = None if options.ids is None else frozenset(options.ids)
    if options.retry:
        count = letters.retry_dead_letters(store, ids)
        if options.json:
            say_json({"waiting": count})
        else:
            say(f"{count:,} dead letters wait to be delivered once more")
        return ALL_DONE
    found = [letter for letter in letters.dead_letters(store) if ids is None or letter.id in ids]
    if options.json:
        for letter in found:
            say_json({**letter._asdict(), "payload": letter.payload.hex()})
    elif found:
        columns = ("id", "outcome", "revision", "accepted", "reason", "words of the receiver")
        print_table(
            columns,
            [
                (
                    str(letter.id),
                    letter.outcome_id,
                    None if letter.revision is None else str(letter.revision),
                    when(letter.created_ns),
                    letter.reason,
                    letter.message,
                )
                for letter in found
            ],
            right=frozenset({"id", "revision"}),
        )
    else:
        say("no dead letters")
    return ALL_DONE


def deliver_command(options: Namespace) -> int:
    """Deliver until told to end; the exit code says whether nothing was left."""
    from agent_outcomes.ledger.delivery.deliverer import deliver_forever  # noqa: PLC0415 - with the client's libraries
    from agent_outcomes.ledger.delivery.targets import read_delivery_targets  # noqa: PLC0415

    targets = read_delivery_targets(os.environ)
    store = store_of(options)
    complain(f"delivering {store.location}; end it with SIGTERM or Ctrl-C")
    is_whole = deliver_forever(lambda: store, targets)
    found = store.status()
    complain(f"{found.delivered:,} of {found.accepted:,} events are delivered, {found.waiting:,} wait")
    if options.json:
        say_json({"accepted": found.accepted, "delivered": found.delivered, "waiting": found.waiting})
    return ALL_DONE if is_whole and not found.waiting else DIFFERS
