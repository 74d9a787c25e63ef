# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the ledger runs, on little, and what it writes itself is what the store would have written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.ledger.audit import verify
from tests.bench import ledger
from tests.bench.ledger_rows import (
    GROUP,
    acceptances,
    copy_runs,
    new_store,
    plain_connection,
    write_group,
    written_last,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.backends


def test_groups_are_measured_beside_their_base(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line has its ratios, and the base is 1."""
    ledger.show_groups(3)
    ratios = dict(re.findall(r"^  (\w+) .* ([\d.]+), [\d.]+$", capsys.readouterr().out, re.MULTILINE))
    assert list(ratios) == ["executemany", "transaction", "accept"]
    assert ratios["executemany"] == "1.00"
    assert 1 < float(ratios["transaction"]) < float(ratios["accept"])


def test_sizes_are_measured_beside_the_smallest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each size."""
    monkeypatch.setattr(ledger, "OPERATIONS", ledger.WARM_UP + 3)
    ledger.show_sizes((1_000, 2_000))
    rows = re.findall(r"^ +([\d,]+) +\d+MB", capsys.readouterr().out, re.MULTILINE)
    assert rows == ["1,000", "2,000"]


def test_the_base_writes_the_same_rows(tmp_path: Path) -> None:
    """The rows of a group, in another ledger that had the same before: it verifies, and has the same in every table."""
    folders = tmp_path / "ours", tmp_path / "plain"
    for folder in folders:
        folder.mkdir()
    ours, other = (new_store(folder) for folder in folders)
    ours.accept(acceptances(GROUP, GROUP))
    with plain_connection(folders[0] / "outcomes.db") as theirs, plain_connection(folders[1] / "outcomes.db") as plain:
        write_group(plain, written_last(theirs))
    found = [verify(store) for store in (ours, other)]
    assert [(each.difference, each.runs) for each in found] == [(None, 2 * GROUP)] * 2
    for store in (ours, other):
        store.close()


def test_copied_runs_are_there(tmp_path: Path) -> None:
    """As if they had been accepted and delivered: each with its revision, and none waits that the first do not."""
    store = new_store(tmp_path)
    before = store.status()
    with plain_connection(tmp_path / "outcomes.db") as connection:
        copy_runs(connection, 3)
    after = store.status()
    store.close()
    assert (after.runs, after.pending) == (4 * before.runs, 4 * before.pending)
    assert after.waiting == before.waiting
