# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.soak.pool METHOD OUTCOMES CHUNK`: a pool of processes ends runs, its parent some of them."""

from __future__ import annotations

import multiprocessing
import sys

from tests.soak.workload import issue


def main() -> None:
    """Half of all chunks are ended by the parent while the pool is at work."""
    method, outcomes, chunk = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    firsts = list(range(0, outcomes, chunk))
    with multiprocessing.get_context(method).Pool(4, maxtasksperchild=5) as pool:
        done = [pool.apply_async(issue, (first, chunk)) for first in firsts[::2]]
        for first in firsts[1::2]:
            issue(first, chunk)
        for one in done:
            one.get(120)
        pool.close()
        pool.join()


if __name__ == "__main__":
    main()
