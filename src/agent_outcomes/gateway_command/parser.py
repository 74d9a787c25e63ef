# SPDX-License-Identifier: Apache-2.0
"""The command lines of `agent-outcomes serve` and `agent-outcomes keys`; what they need is imported when they run."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from importlib import import_module
from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway_command.exit_codes import KEYS_EXIT_CODES, SERVE_EXIT_CODES
from agent_outcomes.gateway_command.flags import FLAGS
from agent_outcomes.ledger_command import inputs
from agent_outcomes.ledger_command.parser import add_command
from agent_outcomes.settings import VARIABLES

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from agent_outcomes.ledger_command.parser import Subparsers

_SERVE: Final = """\
Take OTLP from agents in any language and from collectors, make runs and outcomes of it, keep them in a ledger, take
reports over HTTP, and show it all on a page. Runs until SIGTERM or Ctrl-C.
"""
_SERVE_EXAMPLES: Final = """\
examples:
  agent-outcomes serve
  agent-outcomes serve --deliver-to http://127.0.0.1:14318
  agent-outcomes serve --ledger postgresql://outcomes@db/outcomes --listen 0.0.0.0:8321   needs a key: keys create
  agent-outcomes serve --verdict 'relevance=score>=0.8' --trace-url 'https://jaeger.example/trace/{trace_id}'

Listens on loopback only, unless keys have been made. The first lines printed say where it listens.

"""
_KEYS: Final = "Make, list, revoke and rotate the keys by which a gateway knows who asks, and what they may do."
_KEYS_EXAMPLES: Final = """\
examples:
  agent-outcomes keys create --name collector --may ingest
  agent-outcomes keys create --name crm --agent support-bot --may report
  agent-outcomes keys list
  agent-outcomes keys rotate crm --overlap 7d
  agent-outcomes keys revoke crm

rights: ingest (send OTLP), read (see runs and totals), report (state outcomes and costs), correct (put another outcome
in the place of one that stands), admin (all of it)

"""
RIGHTS: Final = ("ingest", "read", "report", "correct", "admin")


def add_serve(subparsers: Subparsers) -> None:
    """Add the subcommand `serve`."""
    parser = subparsers.add_parser(
        "serve",
        help="take spans of agents in any language, reports over HTTP, and show outcomes on a page",
        description=_SERVE,
        epilog=_SERVE_EXAMPLES + SERVE_EXIT_CODES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    for flag in FLAGS:
        parser.add_argument(
            flag.option,
            dest=flag.name,
            metavar=flag.metavar,
            action="append" if flag.is_repeated else "store",
            help=f"{flag.sentence} (default: {flag.default}; {flag.variable})".replace("%", "%%"),
        )
    parser.set_defaults(run=lambda options: _run("serving.serve_command", options))


def add_keys(subparsers: Subparsers) -> None:
    """Add the subcommand `keys` and its own subcommands."""
    parser = subparsers.add_parser(
        "keys",
        help="who may use a gateway: create, list, revoke and rotate keys",
        description=_KEYS,
        epilog=_KEYS_EXAMPLES + KEYS_EXIT_CODES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    created = _add(commands, "create", "make a key, which is printed once and never again", "keys.create_command")
    created.add_argument("--name", required=True, metavar="NAME", help="whose it is")
    created.add_argument(
        "--may", dest="rights", action="append", required=True, choices=RIGHTS, help="a right; may be given again"
    )
    created.add_argument(
        "--agent", dest="agents", action="append", metavar="NAME", help="only for this agent's runs; may be given again"
    )
    _add(
        commands,
        "list",
        "list the keys: whose, since when, what for; never the keys themselves",
        "keys.list_keys_command",
    )
    revoked = _add(commands, "revoke", "have a key no longer be taken", "keys.revoke_command")
    revoked.add_argument("name", metavar="NAME", help="whose it is")
    rotated = _add(commands, "rotate", "make a new key in the place of an old one", "keys.rotate_command")
    rotated.add_argument("name", metavar="NAME", help="whose it is")
    rotated.add_argument(
        "--overlap", type=inputs.age_s, default=86_400, metavar="AGE", help="the old one is taken so much longer (1d)"
    )


def _add(commands: Subparsers, name: str, about: str, carried_out_by: str) -> ArgumentParser:
    return add_command(
        commands,
        name,
        about,
        epilog=_KEYS_EXAMPLES + KEYS_EXIT_CODES,
        ledger=f"the gateway's: by default {VARIABLES['ledger']}, else the SQLite file in the state folder",
        run=lambda options: _run(carried_out_by, options),
    )


def _run(carried_out_by: str, options: Namespace) -> int:
    module, _, name = carried_out_by.partition(".")
    running = import_module("agent_outcomes.ledger_command.running")
    requirements = import_module("agent_outcomes.gateway_command.requirements")
    require: Callable[[], object] = requirements.REQUIRE[module]
    exit_code: int = running.run_command(f"agent_outcomes.gateway_command.{module}", name, options, require)
    return exit_code
