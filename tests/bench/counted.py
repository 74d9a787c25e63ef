# SPDX-License-Identifier: Apache-2.0
"""The program that runs under callgrind: each case and its base in one process, one segment each.

Usage: python -m tests.bench.counted HELPER.SO CASE...
"""

from __future__ import annotations

import gc
import os
import random
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.bench.callgrind import Counting
from tests.bench.cases import SPAN_BENCHES, no_op_case, outcome_case
from tests.bench.emission import prepare_settlement, raw_calls_case, sink_case

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.paired import Case

ITERATIONS: Final = {"plain": 400, "model": 400, "trace": 40, "emission": 200}
WARM_UP_ROUNDS: Final = 2
BASE: Final = "base"
OURS: Final = "ours"


class _Counted(NamedTuple):
    segment: str
    case: Case
    iterations: int


def main() -> None:
    """Warm every case up uncounted, then count each once."""
    helper, *names = sys.argv[1:]
    counting = Counting(helper)
    counted = [*_counted(names)]
    for number, (_, case, iterations) in enumerate(counted * WARM_UP_ROUNDS):
        random.seed(number)
        case(max(30, iterations // 4))
    gc.collect()
    gc.freeze()
    counting.start()
    for number, (segment, case, iterations) in enumerate(counted):
        # Ids differ from case to case, and are the same every time.
        random.seed(1000 + number)
        gc.collect()
        counting.zero()
        case(iterations)
        counting.close(segment)
    sys.stdout.flush()
    # What ends with the interpreter is not counted, and would take seconds under Valgrind.
    os._exit(0)


def _counted(names: Sequence[str]) -> Iterator[_Counted]:
    for name in names:
        base, ours = _pair(name)
        yield _Counted(f"{name}:{BASE}", base, ITERATIONS[name])
        yield _Counted(f"{name}:{OURS}", ours, ITERATIONS[name])


def _pair(name: str) -> tuple[Case, Case]:
    if name in SPAN_BENCHES:
        return no_op_case(SPAN_BENCHES[name]), outcome_case(SPAN_BENCHES[name])
    settlement = prepare_settlement()
    return raw_calls_case(settlement), sink_case(settlement)


if __name__ == "__main__":
    main()
