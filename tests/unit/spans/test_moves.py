# SPDX-License-Identifier: Apache-2.0
"""That a move is whole: nothing in its bytecode lets CPython do anything else in between."""

from __future__ import annotations

import dis
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from agent_outcomes.ledger import forking, waiting
from agent_outcomes.record import totals
from agent_outcomes.sdk import emission, emitter, handover, run_durations, stale_sweep
from agent_outcomes.spans import moves

if TYPE_CHECKING:
    from types import CodeType

MOVES: dict[str, Any] = {
    **{name: each for name, each in vars(moves).items() if inspect.isfunction(each)},
    "Totals._replace": totals.Totals._replace,
    "_put_down": totals._put_down,
    "OutcomeEmitter._take_export": emitter.OutcomeEmitter._take_export,
    "Emission._take": emission.Emission._take,
    "Emission._adopt": emission.Emission._adopt,
    "note_event": handover.note_event,
    "RunDurations.put_down": run_durations._put_down,
    "StaleSweep._claim": stale_sweep.StaleSweep._claim,
    **{name: each for name, each in vars(waiting).items() if inspect.isfunction(each)},
    "_enter": forking._enter,
}
# They call, loop, suspend or make an object, which may have garbage collected.
BREAKING = (
    "CALL",
    "PRECALL",
    "JUMP_BACKWARD",
    "POP_JUMP_BACKWARD",
    "FOR_ITER",
    "SEND",
    "YIELD",
    "BUILD_",
    "LIST_",
    "DICT_",
    "SET_",
    "MAKE_",
    "IMPORT",
    "RAISE",
    "FORMAT",
    "BEFORE_WITH",
    "UNPACK",
)
# After its last call a move does nothing that anybody else could miss.
HARMLESS = {"POP_TOP", "LOAD_GLOBAL", "LOAD_CONST", "LOAD_FAST", "RETURN_VALUE", "RETURN_CONST", "LOAD_FAST_BORROW"}


def _breaking(code: CodeType) -> list[dis.Instruction]:
    instructions = [one for one in dis.get_instructions(code) if one.opname != "CACHE"]
    calls = [number for number, one in enumerate(instructions) if one.opname == "CALL"]
    last_steps: set[int] = set()
    for number in calls:
        following = [one.opname for one in instructions[number + 1 :]]
        end = next((index for index, name in enumerate(following) if name.startswith("RETURN")), len(following))
        if set(following[: end + 1]) <= HARMLESS:
            last_steps |= {number, number - 1}  # 3.11 prepares a call by an instruction of its own
    return [
        one
        for number, one in enumerate(instructions)
        if one.opname.startswith(BREAKING) and number not in last_steps and not _is_slice(one)
    ]


def _is_slice(instruction: dis.Instruction) -> bool:
    return instruction.opname == "BUILD_SLICE"


@pytest.mark.parametrize("name", MOVES)
def test_a_move_has_no_place_where_anything_could_come_in_between(name: str) -> None:
    """It tests, assigns and deletes; one call may be its last step."""
    found = _breaking(MOVES[name].__code__)
    assert not found, [(one.opname, one.argrepr, one.positions) for one in found]


def test_the_check_finds_what_it_is_for() -> None:
    """Functions that call, loop or build before their last step are no moves."""

    def calls(items: list[int]) -> None:
        items.append(1)
        items.clear()

    def loops(items: list[int]) -> int:
        while items:
            del items[0]
        return 0

    def builds(items: dict[int, list[int]]) -> int:
        items[0] = []
        return 0

    for each in (calls, loops, builds):
        assert _breaking(each.__code__)
