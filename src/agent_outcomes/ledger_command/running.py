# SPDX-License-Identifier: Apache-2.0
"""Carrying a command out: the ledger it is about, and its errors as one line and an exit code."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused
from agent_outcomes.ledger.location import LedgerError, LedgerUnavailable
from agent_outcomes.ledger.requirements import require_packages
from agent_outcomes.ledger_command.exit_codes import INVALID_INPUT, NO_LEDGER, OF_REFUSAL, CommandError
from agent_outcomes.ledger_command.output import complain
from agent_outcomes.settings import VARIABLES, SettingsError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from agent_outcomes.ledger.store import Store

_HINTS: Final = {
    RefusalCode.OUTCOME_CONFLICT: "here: --correct --reason TEXT puts it in the place of the one that stands",
    RefusalCode.RUN_AMBIGUOUS: "here: --run latest, or --outcome-id",
}


def run_command(module: str, name: str, options: Namespace, require: Callable[[], object] = require_packages) -> int:
    """Carry out the command `name` of that module; its exit code. Errors are said in one line.

    `require` raises `SettingsError` where a package is missing that the module imports.
    """
    try:
        require()
        _check_values(options)
        carry_out: Callable[[Namespace], int] = getattr(import_module(module), name)
        return carry_out(options)
    except ReportRefused as refused:
        complain(str(refused))
        if refused.code in _HINTS:
            complain(_HINTS[refused.code])
        # A ledger that only somebody can mend is none to try again.
        is_unusable = refused.code is RefusalCode.LEDGER_UNAVAILABLE and not refused.passes
        return NO_LEDGER if is_unusable else OF_REFUSAL[refused.code]
    except LedgerUnavailable as error:
        complain(str(error))
        return OF_REFUSAL[RefusalCode.LEDGER_UNAVAILABLE]
    except LedgerError as error:
        complain(str(error))
        return NO_LEDGER
    except SettingsError as error:
        complain(str(error))
        return INVALID_INPUT
    except CommandError as error:
        complain(str(error))
        return error.exit_code


def _check_values(options: Namespace) -> None:
    # argparse gives an empty list for `--label=--` up to Python 3.12.
    empty = [name for name, value in vars(options).items() if value in ([], [[]])]
    if empty:
        raise CommandError(INVALID_INPUT, f"--{empty[0].replace('_', '-')} takes a value, and -- is none")


def range_of(options: Namespace, now_ns: int) -> tuple[int | None, int | None]:
    """The beginning and the end of what is asked for in Unix nanoseconds, `None` where it has none.

    Raises `CommandError` where it ends before it begins: nothing can be in it, and an empty export passes for none.
    """
    since_ns = None if options.since is None else options.since.before(now_ns)
    until_ns = None if options.until is None else options.until.until(now_ns)
    if since_ns is not None and until_ns is not None and until_ns < since_ns:
        raise CommandError(INVALID_INPUT, "--since takes a time that is not after --until; nothing lies between them")
    return since_ns, until_ns


def url_of(options: Namespace) -> str:
    """The URL of the ledger that is meant. Raises `SettingsError` if none is named."""
    url: str | None = options.ledger if options.ledger is not None else os.environ.get(VARIABLES["ledger"], "").strip()
    if not url:
        message = f"no ledger is named; give --ledger URL, as sqlite:///outcomes.db, or set {VARIABLES['ledger']}"
        raise SettingsError(message)
    return url


def store_of(options: Namespace) -> Store:
    """The ledger that is meant, which must be there. Raises `SettingsError`, `LedgerError` or `LedgerUnavailable`."""
    from agent_outcomes.ledger.location import read_location  # noqa: PLC0415 - after its packages were asked for
    from agent_outcomes.ledger.store import Store  # noqa: PLC0415

    return Store.open(read_location(url_of(options)), create=False)
