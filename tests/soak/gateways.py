# SPDX-License-Identifier: Apache-2.0
"""Two gateways on one PostgreSQL ledger behind a real collector, one killed half way; and what a second one costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.integration.gateway.scaled_out import run_behind_collector
from tests.soak.proof import Proof
from tests.tools.build_otelcol import find_or_build

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgresql import PostgresqlServer

CPU_RATIO_MAX: Final = 1.1


def prove(server: PostgresqlServer, folder: Path, *, runs: int, seed: int) -> Proof:
    """So many runs through one gateway, and then through two of which one is killed."""
    binary = find_or_build()
    found = []
    for gateways in (1, 2):
        own = folder / str(gateways)
        own.mkdir()
        ledger = server.url(server.new_database())
        found.append(run_behind_collector(binary, own, ledger, runs=runs, gateways=gateways, seed=seed))
    one, two = found
    proof = Proof("gateways")
    for name, outcome in (("one", one), ("two, one killed", two)):
        proof.equal(f"runs, {name}", outcome.counted, runs)
        proof.equal(f"missing, {name}", outcome.missing, 0)
        proof.equal(f"twice, {name}", outcome.twice, 0)
        proof.equal(f"cents off, {name}", outcome.cents_off, 0)
        proof.tell(f"CPU us per span, {name}", outcome.cpu_us_per_span)
        proof.tell(f"seconds, {name}", outcome.took_s)
    proof.at_most("CPU per span, two by one", two.cpu_us_per_span / one.cpu_us_per_span, CPU_RATIO_MAX)
    return proof
