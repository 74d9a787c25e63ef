# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.soak`: what the ledger promises, proved at length, with the figures that were found."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.postgresql import running_postgresql, server_programs
from tests.soak import disk, fsyncs, gateway_kills, gateways, kills, model, outage, workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.postgresql import PostgresqlServer
    from tests.soak.proof import Proof

EPILOG: Final = """\
programs:
  kills    processes are killed by SIGKILL while they end runs, on SQLite and PostgreSQL
  fsyncs   every acknowledgement comes after an fsync of the log, as strace sees it
  full     a SQLite ledger fills its disk; room is made (root only)
  errors   every N-th write and sync of a SQLite ledger fails, by strace
  workers  gunicorn --preload, Celery with one task a child, multiprocessing, on SQLite and PostgreSQL
  outage   PostgreSQL is stopped, and hangs, while runs end
  gateway-kills a gateway is ended again and again under eight senders (50 times at most)
  gateways two gateways behind a real collector, one killed half way, and one alone
  model    random sequences of runs and reports, held against a model of the ledger, on SQLite and PostgreSQL
  all      each of them, one after the other

examples:
  python -m tests.soak kills --kills 200 --outcomes 20000
  python -m tests.soak workers --outcomes 8000
  python -m tests.soak model --sequences 5000
  make soak SOAK=outage

exit codes: 0 every promise was kept, 1 one was not (told on standard output), 2 the command line cannot be understood
or a program that is needed is missing, 130 interrupted.
"""
NEEDS: Final[Mapping[str, str]] = {"fsyncs": "strace", "errors": "strace", "full": "unshare"}


class _Ledgers:
    """New ledgers, each in a folder of its own."""

    def __init__(self, folder: Path, server: PostgresqlServer | None) -> None:
        self.server = server
        self._folder = folder
        self._count = 0

    def folder(self) -> Path:
        self._count += 1
        made = self._folder / str(self._count)
        made.mkdir()
        return made

    def urls(self) -> Iterator[tuple[str, str]]:
        yield "SQLite", f"sqlite:///{self.folder()}/outcomes.db"
        if self.server is not None:
            yield "PostgreSQL", self.server.url(self.server.new_database())


def main() -> int:
    """Run the programs that the command line names."""
    options = _parser().parse_args()
    names = list(PROGRAMS) if options.name == "all" else [options.name]
    missing = {tool for name, tool in NEEDS.items() if name in names and shutil.which(tool) is None}
    if server_programs() is None:
        missing.add("PostgreSQL's server (Debian: postgresql)")
    if missing:
        print(f"needed and not installed: {', '.join(sorted(missing))}", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ledger-soak-")))
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
        ledgers = _Ledgers(folder, stack.enter_context(running_postgresql(durable=True)))
        try:
            kept = [_run(name, ledgers, options) for name in names]
        except KeyboardInterrupt:
            return 130
        return 0 if all(kept) else 1


def _run(name: str, ledgers: _Ledgers, options: argparse.Namespace) -> bool:
    is_kept = True
    began_s = time.monotonic()
    for title, proof in PROGRAMS[name](ledgers, options):
        print(f"{title}: seed {options.seed}, Python {sys.version.split()[0]}, {time.monotonic() - began_s:.0f} s")
        for line in proof.lines():
            print(line, flush=True)
        is_kept &= proof.is_kept
        began_s = time.monotonic()
    return is_kept


def _kills(ledgers: _Ledgers, options: argparse.Namespace) -> Iterator[tuple[str, Proof]]:
    for engine, url in ledgers.urls():
        yield f"kills on {engine}", kills.prove(url, kills=options.kills, outcomes=options.outcomes, seed=options.seed)


def _fsyncs(ledgers: _Ledgers, options: argparse.Namespace) -> Iterator[tuple[str, Proof]]:
    folder = ledgers.folder()
    url = f"sqlite:///{folder}/outcomes.db"
    yield "fsyncs", fsyncs.prove(url, folder, outcomes=min(1000, options.outcomes), seed=options.seed)


def _full(ledgers: _Ledgers, options: argparse.Namespace) -> Iterator[tuple[str, Proof]]:
    yield "a full disk", disk.prove_full_apart(ledgers.folder(), cycles=10, seed=options.seed)


def _errors(ledgers: _Ledgers, options: argparse.Namespace) -> Iterator[tuple[str, Proof]]:
    folder = ledgers.folder()
    yield "a failing disk", disk.prove_errors(f"sqlite:///{folder}/outcomes.db", folder, seed=options.seed)


def _workers(ledgers: _Ledgers, options: argparse.Namespace) -> Iterator[tuple[str, Proof]]:
    outcomes = min(8000, options.outcomes)
    for name in workers.SERVERS:
        for engine, url in ledgers.urls():
            proof = workers.prove(name, url, ledgers.folder(), outcomes=outcomes, chunk=min(50, outcomes))
            yield f"{name} on {engine}", proof


def _outage(ledgers: _Ledgers, options: argparse.Namespace) -> Iterator[tuple[str, Proof]]:
    assert ledgers.server is not None
    yield "PostgreSQL away", outage.prove(ledgers.server, down_s=30.0, seed=options.seed)


def _gateways(ledgers: _Ledgers, options: argparse.Namespace) -> Iterator[tuple[str, Proof]]:
    assert ledgers.server is not None
    proof = gateways.prove(ledgers.server, ledgers.folder(), runs=options.outcomes, seed=options.seed)
    yield "gateways behind a collector", proof


def _gateway_kills(ledgers: _Ledgers, options: argparse.Namespace) -> Iterator[tuple[str, Proof]]:
    kills = min(50, options.kills)
    yield "a gateway killed", gateway_kills.prove(ledgers.folder(), kills=kills, runs=8000, seed=options.seed)


def _model(ledgers: _Ledgers, options: argparse.Namespace) -> Iterator[tuple[str, Proof]]:
    how = {"sequences": options.sequences, "seed": options.seed}
    yield "model on SQLite", model.prove(lambda: f"sqlite:///{ledgers.folder()}/outcomes.db", **how)
    # What is on its disk does not matter here.
    with running_postgresql() as server:
        yield "model on PostgreSQL", model.prove(lambda: server.url(server.new_database()), **how)


PROGRAMS: Final[Mapping[str, Callable[[_Ledgers, argparse.Namespace], Iterator[tuple[str, Proof]]]]] = {
    "kills": _kills,
    "fsyncs": _fsyncs,
    "full": _full,
    "errors": _errors,
    "workers": _workers,
    "outage": _outage,
    "gateways": _gateways,
    "gateway-kills": _gateway_kills,
    "model": _model,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.soak",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", choices=[*PROGRAMS, "all"], help="which program; see below")
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="how many processes to kill (default: 200)")
    parser.add_argument(
        "--outcomes", type=int, default=20_000, metavar="N", help="how many outcomes, at most (default: 20000)"
    )
    parser.add_argument(
        "--sequences", type=int, default=5000, metavar="N", help="how many, on each engine (default: 5000)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the random choices (default: 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
