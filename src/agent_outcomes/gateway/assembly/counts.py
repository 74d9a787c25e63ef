# SPDX-License-Identifier: Apache-2.0
"""What the assembly has done and what it holds, as figures."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class AssemblyCounts:
    """Counted since the process began; those that end in `_now` are how it stands.

    `spans` came = `late_spans` + `repeated_spans` + those that were held, of which `other_spans` were in no part that
    may have been a run. Of the late ones `lost_spans` are agents' or state an outcome; `refused_spans` were of a run
    whose agent their sender's key may not speak for. Of `parts` that were settled `early_parts` were because too much
    was held, `late_parts` lacked a parent that had settled before, `failed_parts` failed by a fault of ours. `away_now`
    says that the ledger cannot be written, `full_now` that requests are refused for lack of room.
    """

    requests: int = 0
    refused_requests: int = 0
    spans: int = 0
    rejected_spans: int = 0
    refused_spans: int = 0
    late_spans: int = 0
    lost_spans: int = 0
    repeated_spans: int = 0
    other_spans: int = 0
    unreadable_spans: int = 0
    restored_spans: int = 0
    moved_spans: int = 0
    parts: int = 0
    early_parts: int = 0
    late_parts: int = 0
    failed_parts: int = 0
    runs: int = 0
    known_runs: int = 0
    unstorable_runs: int = 0
    problems: int = 0
    cut_files: int = 0
    traces_now: int = 0
    spans_now: int = 0
    held_bytes_now: int = 0
    waiting_parts_now: int = 0
    journal_bytes_now: int = 0
    away_now: int = 0
    full_now: int = 0


class AssemblyCounting:
    """Counts what is done."""

    def __init__(self, counts: AssemblyCounts) -> None:
        self.counts = counts

    def add(self, **more: int) -> None:
        """Count so many more of each."""
        self.counts = replace(self.counts, **{name: getattr(self.counts, name) + by for name, by in more.items()})
