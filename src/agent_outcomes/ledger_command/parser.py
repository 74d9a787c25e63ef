# SPDX-License-Identifier: Apache-2.0
"""The command line of `agent-outcomes ledger`; what needs a database is imported when a command runs."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from importlib import import_module
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger_command import inputs
from agent_outcomes.ledger_command.exit_codes import EXIT_CODE_MEANINGS
from agent_outcomes.settings import VARIABLES

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction
    from collections.abc import Callable

    Subparsers = _SubParsersAction[ArgumentParser]

_DESCRIPTION: Final = "Look into a ledger of agent runs, report on its runs, deliver it, and prove that it is whole."
_EPILOG: Final = """\
examples:
  export AGENT_OUTCOMES_LEDGER=sqlite:///outcomes.db
  agent-outcomes ledger status
  agent-outcomes ledger list --state pending --since 7d
  agent-outcomes ledger report --run-id ticket-4711 --success --label stayed_closed --reason "no reopening in 7 days"
  agent-outcomes ledger show ticket-4711
  agent-outcomes ledger export --format parquet --since 2026-01-01 > outcomes.parquet

"""
_STATES: Final = ("pending", "reported", "held", "orphan")


def add_ledger(subparsers: Subparsers) -> None:
    """Add the subcommand and its own subcommands."""
    parser = subparsers.add_parser(
        "ledger",
        help="look into a ledger, report on its runs, deliver it, verify it",
        description=_DESCRIPTION,
        epilog=_EPILOG + EXIT_CODE_MEANINGS,
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_status, _report, _cost, _list, _show, _export, _verify, _seal, _dead_letters, _prune, _deliver):
        add(commands)


def add_command(
    commands: Subparsers, name: str, about: str, *, epilog: str, ledger: str, run: Callable[[Namespace], int]
) -> ArgumentParser:
    """A command on a ledger, of whose URL `ledger` is the help; `run` carries it out."""
    parser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=epilog,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.register("type", None, inputs.given_text)  # of what has no type of its own
    parser.add_argument("--ledger", type=str, metavar="URL", help=ledger)  # refused by whoever reads the URL
    parser.add_argument("--json", action="store_true", help="JSON for programs, one object a line")
    parser.set_defaults(run=run)
    return parser


def _add(commands: Subparsers, name: str, about: str, examples: str, carried_out_by: str) -> ArgumentParser:
    """A command; `carried_out_by` is a module of this package and its function, `module.function`."""
    lines = "".join(f"  agent-outcomes ledger {example}\n" for example in examples.splitlines())
    return add_command(
        commands,
        name,
        about,
        epilog=f"examples:\n{lines}\n{EXIT_CODE_MEANINGS}",
        ledger=f"sqlite:///file.db or postgresql://...; by default {VARIABLES['ledger']}",
        run=lambda options: _run(carried_out_by, options),
    )


def _run(carried_out_by: str, options: Namespace) -> int:
    module, _, name = carried_out_by.partition(".")
    running = import_module("agent_outcomes.ledger_command.running")
    exit_code: int = running.run_command(f"agent_outcomes.ledger_command.{module}", name, options)
    return exit_code


def _status(commands: Subparsers) -> None:
    _add(
        commands,
        "status",
        "how much was accepted, how far it is, and what is pending",
        "status\nstatus --json",
        "looking.status_command",
    )


def _list(commands: Subparsers) -> None:
    examples = (
        "list --state pending --agent support-bot --since 7d\nlist --state orphan\nlist --since 2026-01-01 --json"
    )
    parser = _add(
        commands,
        "list",
        "runs, the last that ended first, or reports whose run has not come",
        examples,
        "looking.list_command",
    )
    parser.add_argument("--state", choices=_STATES, help="pending or reported runs; held or orphaned reports")
    parser.add_argument("--agent", metavar="NAME", help="only this agent's runs; not of held or orphaned reports")
    _add_range(parser, "runs that ended, or reports that came,")
    parser.add_argument("--limit", type=inputs.positive_number, default=100, metavar="N", help="at most so many (100)")


def _show(commands: Subparsers) -> None:
    parser = _add(
        commands,
        "show",
        "everything about one run: each revision with who, when and why, its postings, and its delivery",
        "show ticket-4711\nshow 4bf92f3577b34da6a3ce929d0e0e4736",
        "looking.show_command",
    )
    parser.add_argument("id", metavar="RUN", help="a run id, a trace id or an outcome id")
    _add_run_choice(parser)


def _report(commands: Subparsers) -> None:
    examples = (
        'report --run-id ticket-4711 --success --label stayed_closed --reason "no reopening in 7 days"\n'
        "report --run-id lead-12 --type converted --value 1200.00 --currency EUR --reported-by crm\n"
        'report --run-id lead-12 --type unsuccessful --correct --reason "order was cancelled"\n'
        'report --run-id lead-12 --retract --reason "reported on the wrong lead"'
    )
    parser = _add(
        commands,
        "report",
        "state the outcome of a run that has ended, or correct it",
        examples,
        "reporting.report_command",
    )
    _add_reference(parser)
    verdict = parser.add_mutually_exclusive_group()
    verdict.add_argument("--success", action="store_const", const=True, help="the run reached its business goal")
    verdict.add_argument("--no-success", dest="success", action="store_const", const=False, help="it did not")
    parser.add_argument("--type", metavar="TYPE", help="converted, escalated, deflected, unsuccessful or custom")
    parser.add_argument("--label", metavar="LABEL", help="a short label of your own")
    parser.add_argument("--value", metavar="AMOUNT", help="what it was worth, in plain digits; negative for a refund")
    parser.add_argument("--currency", metavar="CODE", help="ISO 4217, by default USD")
    parser.add_argument("--message", metavar="TEXT", help="for people")
    parser.add_argument("--metadata", metavar="JSON", help="a JSON object")
    parser.add_argument("--status", metavar="STATUS", help="compared with the run's; changes nothing")
    parser.add_argument("--if-revision", type=inputs.number, metavar="N", help="only if this revision stands")
    parser.add_argument("--correct", action="store_true", help="put it in the place of another outcome; needs --reason")
    parser.add_argument("--retract", action="store_true", help="take back the outcome that stands; needs --reason")
    _add_reporter(parser)


def _cost(commands: Subparsers) -> None:
    examples = "cost --run-id ticket-4711 --amount 50.00 --currency USD --kind human --idempotency-key shift-17"
    parser = _add(commands, "cost", "add a cost that arose after a run had ended", examples, "reporting.cost_command")
    _add_reference(parser)
    parser.add_argument("--amount", required=True, metavar="AMOUNT", help="in plain digits, not negative")
    parser.add_argument("--currency", metavar="CODE", help="ISO 4217, by default USD")
    parser.add_argument("--kind", metavar="KIND", help="llm, tool, human or other")
    _add_reporter(parser)


def _export(commands: Subparsers) -> None:
    examples = (
        "export --format parquet --since 2026-01-01 > outcomes.parquet\n"
        "export --format csv --since 30d --output outcomes.csv\nexport | jq .outcome_id"
    )
    parser = _add(
        commands,
        "export",
        "all revisions, with who, when and why, and pauses, as JSON lines, CSV or Parquet",
        examples,
        "leaving.export_command",
    )
    parser.add_argument("--format", choices=("jsonl", "csv", "parquet"), default="jsonl", help="by default jsonl")
    parser.add_argument("--agent", metavar="NAME", help="only this agent's runs")
    _add_range(parser, "revisions and pauses that were recorded")
    parser.add_argument("--output", metavar="FILE", help="a new file; by default standard output")


def _verify(commands: Subparsers) -> None:
    about = "recompute every digest, seal and total, and name the first that differs"
    _add(commands, "verify", about, "verify\nverify --json", "proving.verify_command")


def _seal(commands: Subparsers) -> None:
    about = "seal all revisions since the last seal; note the digest somewhere else to prove later that nothing changed"
    _add(commands, "seal", about, "seal >> seals-of-the-ledger.txt", "proving.seal_command")


def _dead_letters(commands: Subparsers) -> None:
    examples = "dead-letters\ndead-letters --retry\ndead-letters --retry --id 17 --id 18"
    parser = _add(
        commands,
        "dead-letters",
        "what a receiver has refused for good, with its words",
        examples,
        "leaving.dead_letters_command",
    )
    parser.add_argument("--retry", action="store_true", help="have them delivered once more")
    parser.add_argument(
        "--id", dest="ids", action="append", type=inputs.positive_number, metavar="N", help="only this one"
    )


def _prune(commands: Subparsers) -> None:
    examples = "prune --older-than 400d --dry-run\nprune --older-than 400d"
    about = "forget the details of old runs whose events are delivered; totals, seals and digests stay"
    parser = _add(commands, "prune", about, examples, "proving.prune_command")
    parser.add_argument(
        "--older-than", type=inputs.given_time, required=True, metavar="AGE", help="runs that ended longer ago: 400d"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")


def _deliver(commands: Subparsers) -> None:
    about = "deliver events and metrics over OTLP until told to end by SIGTERM or SIGINT"
    examples = "deliver\ndeliver --ledger postgresql://outcomes@db/outcomes"
    _add(commands, "deliver", about, examples, "leaving.deliver_command")


def _add_range(parser: ArgumentParser, what: str) -> None:
    parser.add_argument("--since", type=inputs.given_time, metavar="TIME", help=f"{what} from then on: 7d, 2026-01-31")
    parser.add_argument("--until", type=inputs.given_time, metavar="TIME", help=f"{what} before then")


def _add_run_choice(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--run", dest="choice", choices=("latest",), help="of several runs that match, the one that ended last"
    )


def _add_reference(parser: ArgumentParser) -> None:
    named = parser.add_mutually_exclusive_group(required=True)
    named.add_argument("--run-id", metavar="ID", help="the run, by your own key")
    named.add_argument("--trace-id", metavar="HEX", help="the run, by its trace")
    named.add_argument("--outcome-id", metavar="HEX", help="the run, by its outcome's id")
    _add_run_choice(parser)


def _add_reporter(parser: ArgumentParser) -> None:
    parser.add_argument("--reason", metavar="TEXT", help="why")
    parser.add_argument("--reported-by", metavar="NAME", help="who says so")
    parser.add_argument("--idempotency-key", metavar="KEY", help="makes a repeat of the same report safe")
    parser.add_argument("--no-retry", action="store_true", help="do not try again while the ledger is away")
