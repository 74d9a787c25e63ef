# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes serve` ended many times under eight senders: acknowledged and lost 0, counted twice 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.integration.gateway.killed import killed_under_senders
from tests.soak.proof import Proof

if TYPE_CHECKING:
    from pathlib import Path

SENDERS: Final = 8


def prove(folder: Path, *, kills: int, runs: int, seed: int) -> Proof:
    """So many ends, two of three by SIGKILL, while so many runs are sent."""
    found = killed_under_senders(folder, kills=kills, senders=SENDERS, runs=runs // SENDERS, seed=seed)
    proof = Proof("gateway-kills")
    proof.tell("ends", found.ends)
    proof.tell("requests sent again", found.resent)
    proof.equal("acknowledged", found.acknowledged, runs // SENDERS * SENDERS)
    proof.equal("acknowledged and lost", found.lost, 0)
    proof.equal("counted", found.counted, found.acknowledged)
    proof.equal("recorded twice", found.twice, 0)
    proof.equal("cents off", found.cents_off, 0)
    return proof
