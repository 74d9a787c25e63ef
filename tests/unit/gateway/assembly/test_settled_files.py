# SPDX-License-Identifier: Apache-2.0
"""What is remembered of settled parts is read back as it was kept, up to a bound, by the gateway of the same ledger."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind

from agent_outcomes.explain.exported import ParentPlace
from agent_outcomes.gateway.assembly.missed import KnownSpan
from agent_outcomes.gateway.assembly.settled import SettledPart, SettledTraces
from agent_outcomes.gateway.assembly.settled_files import SettledFiles
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.backends

IDS = st.binary(min_size=8, max_size=8)
SOME_IDS = st.lists(IDS, max_size=5).map(b"".join)
VALUES = (
    st.text(max_size=5)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.lists(st.text(max_size=5), max_size=3)
    | st.lists(st.integers(0, 9), max_size=3)
)
RESOURCES = st.lists(st.dictionaries(st.text(min_size=1, max_size=9), VALUES, max_size=4).map(Resource), max_size=3)
TOPS = st.builds(
    KnownSpan,
    IDS,
    st.sampled_from(SpanKind),
    RESOURCES.map(tuple),
    IDS | st.none(),
    st.sampled_from(ParentPlace),
)
PARTS = st.builds(
    SettledPart,
    SOME_IDS,
    TOPS | st.none(),
    RESOURCES.map(tuple),
    IDS | st.none(),
    st.booleans(),
    SOME_IDS,
    SOME_IDS | st.none(),
    SOME_IDS,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(read_location(f"sqlite:///{tmp_path / 'ledger.db'}"))
    yield opened
    opened.close()


def kept(files: SettledFiles, parts: Sequence[tuple[bytes, SettledPart]]) -> None:
    asyncio.run(files.keep(parts))


def read_again(folder: Path, store: Store) -> SettledTraces:
    files, traces = SettledFiles(folder, store.database), SettledTraces()
    files.read_into(traces)
    files.close()
    return traces


@given(parts=st.lists(PARTS, min_size=1, max_size=3, unique_by=lambda part: part.ids))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_parts_are_read_as_they_were_kept(
    parts: list[SettledPart], tmp_path_factory: pytest.TempPathFactory, store: Store
) -> None:
    """Once each, however often they were kept, and none of their traces is sure any more."""
    folder = tmp_path_factory.mktemp("settled")
    files, trace_id = SettledFiles(folder, store.database), bytes(15) + b"\1"
    files.read_into(SettledTraces())
    for _ in range(2):
        kept(files, [(trace_id, part) for part in parts])
    files.close()
    traces = read_again(folder, store)
    found = traces._traces[trace_id]
    assert found == [replace(part, was_restored=True) for part in parts]
    assert traces._span_count == sum(len(part.ids) // 8 for part in parts)
    assert not traces.is_sure_of(trace_id)


def test_the_oldest_go_when_there_is_too_much(tmp_path: Path, store: Store) -> None:
    """And all that is left is of the latest traces, over any number of starts."""
    folder, most_bytes, count = tmp_path / "settled", 64 * 1024, 3_000
    for start in range(0, count, count // 3):
        files = SettledFiles(folder, store.database, most_bytes)
        files.read_into(SettledTraces())
        for number in range(start, start + count // 3, 100):
            some = range(number, number + 100)
            kept(files, [(each.to_bytes(16), SettledPart(each.to_bytes(8), None, ())) for each in some])
        files.close()
    sizes = [file.stat().st_size for file in folder.glob("*.journal")]
    assert sum(sizes) <= 2 * most_bytes
    traces = read_again(folder, store)
    assert [int.from_bytes(each) for each in traces._traces] == [*range(count - len(traces), count)]
    assert len(traces) > 100


def test_another_ledger_does_not_know_them(tmp_path: Path, store: Store) -> None:
    """Nor are its files in the way."""
    files = SettledFiles(tmp_path / "settled", store.database)
    kept(files, [(bytes(16), SettledPart(bytes(8), None, ()))])
    files.close()
    other = Store.open(read_location(f"sqlite:///{tmp_path / 'other.db'}"))
    assert len(read_again(tmp_path / "settled", other)) == 0
    other.close()
    assert not [*(tmp_path / "settled").glob("*.journal")]
