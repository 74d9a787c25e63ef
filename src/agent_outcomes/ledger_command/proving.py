# SPDX-License-Identifier: Apache-2.0
"""`verify`, `seal` and `prune`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger import audit, pruning
from agent_outcomes.ledger_command.exit_codes import ALL_DONE, DIFFERS
from agent_outcomes.ledger_command.output import complain, progress, say, say_json, when
from agent_outcomes.ledger_command.running import store_of

if TYPE_CHECKING:
    from argparse import Namespace

_COUNTED: Final = ("runs", "revisions", "seals", "totals")


def verify_command(options: Namespace) -> int:
    """Verify the ledger; the exit code says whether it is whole."""
    with progress("verifying") as told:
        found = audit.verify(store_of(options), progress=told)
    counts = {name: getattr(found, name) for name in _COUNTED}
    difference = found.difference
    if options.json:
        say_json({**counts, "pruned": found.pruned, "difference": None if difference is None else difference._asdict()})
    elif difference is None:
        listed = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        say(f"all fits: {listed}")
        if found.pruned:
            say(
                f"not checked is what {found.pruned:,} pruned revisions and pauses have posted: their contents are gone"
            )
    else:
        complain(f"differs: {difference}")
    return ALL_DONE if difference is None else DIFFERS


def seal_command(options: Namespace) -> int:
    """Seal what has come since the last seal; the exit code."""
    made = audit.seal(store_of(options))
    if options.json:
        say_json(None if made is None else {**made._asdict(), "digest": made.digest.hex()})
    elif made is None:
        say("nothing has come since the last seal")
    else:
        say(f"{when(made.sealed_ns)}  {made.digest.hex()}  {made.revisions} revisions, up to row {made.last_revision}")
    return ALL_DONE


def prune_command(options: Namespace) -> int:
    """Prune old runs, or say what would go; the exit code."""
    store = store_of(options)
    before_ns = options.older_than.before(time.time_ns())
    found = pruning.prunable(store, before_ns)
    pruned = 0
    if not options.dry_run:
        with progress("pruning") as told:
            pruned = pruning.prune(store, before_ns, progress=lambda done: told(done, found.runs))
    if options.json:
        say_json({"before_ns": before_ns, "prunable": found.runs, "undelivered": found.undelivered, "pruned": pruned})
        return ALL_DONE
    if options.dry_run:
        say(f"{found.runs:,} runs that ended before {when(before_ns)} would be pruned")
    else:
        say(f"{pruned:,} runs that ended before {when(before_ns)} were pruned; totals, seals and digests are kept")
    if found.undelivered:
        say(f"{found.undelivered:,} as old stay, as events of theirs are not delivered")
    return ALL_DONE
