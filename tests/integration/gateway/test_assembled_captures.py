# SPDX-License-Identifier: Apache-2.0
"""What frameworks really sent comes to the same runs by the assembly as by `explain`, however it is divided."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

import pytest

from tests.assembled import LIMITS, Coming, accepted, collected, divided, explained, pieces_of, taken, told

FOLDER: Final = Path(__file__).parents[2] / "captures"
CAPTURES: Final = sorted(f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("*/*.json"))


@pytest.mark.parametrize("capture", CAPTURES)
def test_runs_are_those_of_explain(capture: str) -> None:
    """To the last attribute of their events: statuses, tokens, costs, evidence, problems."""
    text = (FOLDER / f"{capture}.json").read_text(encoding="utf-8")
    chance = random.Random(capture)
    collection = collected(Coming(body, 0.0) for body in divided(pieces_of(text), chance))
    parts = [*taken(collection, LIMITS.settle_after_s), *taken(collection, LIMITS.idle_after_s)]
    assert told(accepted(parts)) == explained(text)
    assert len(collection.held) == 0
