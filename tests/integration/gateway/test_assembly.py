# SPDX-License-Identifier: Apache-2.0
"""The assembly with a journal on disk and a real ledger: what is acknowledged becomes runs, whatever happens."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from agent_outcomes.gateway.settings import AssemblyLimits
from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.intake import IntakeUnavailable, Packing, Taken
from agent_outcomes.ledger.rows import RunFilter
from tests.assembled import divided, pieces_of
from tests.called_agents import AWAY, callee, caller
from tests.exported import LOCAL, REMOTE, SERVICE, Sent, agent, chat
from tests.integration.gateway.assembly_bench import LONG_S, SOON_S, Bench
from tests.soak.assembly_kills import Killing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

KILLS: Final = 4


@pytest.fixture
def limits() -> AssemblyLimits:
    return AssemblyLimits()


@pytest.fixture
def bench(tmp_path: Path, limits: AssemblyLimits) -> Iterator[Bench]:
    made = Bench(tmp_path, limits)
    yield made
    made.close()


def a_run(trace: int, name: str = "desk", calls: int = 2) -> list[Sent]:
    spans = [
        Sent(id=2 + call, parent=1, trace=f"{trace:032x}", flags=LOCAL, attributes=chat(10)) for call in range(calls)
    ]
    return [*spans, Sent(id=1, trace=f"{trace:032x}", attributes=agent(name), resource=SERVICE)]


def send_runs(bench: Bench, traces: Iterable[int]) -> None:
    for trace in traces:
        bench.send(a_run(trace))


@pytest.mark.parametrize("packing", [Packing.IDENTITY, Packing.GZIP])
def test_runs_are_in_the_ledger_and_the_journal_forgets(bench: Bench, packing: Packing) -> None:
    """However requests are packed, and whenever the process is started again."""
    assert bench.send(a_run(1), packing=packing) == Taken()
    bench.restart()
    assert bench.assembly.counts().restored_spans == 3
    bench.send(a_run(2, "shop"), packing=packing)
    bench.step()
    assert bench.runs() == []
    bench.step(SOON_S)
    assert bench.runs() == [("desk", 20), ("shop", 20)]
    counts = bench.assembly.counts()
    assert (counts.runs, counts.spans_now, counts.held_bytes_now, counts.waiting_parts_now) == (2, 0, 0, 0)
    bench.restart()
    assert bench.assembly.counts().restored_spans == 0
    bench.step(LONG_S)
    assert bench.runs() == [("desk", 20), ("shop", 20)]


@pytest.mark.parametrize("tokens", [310, 300, 500])
@pytest.mark.parametrize(
    "order", ["callee before a restart", "callee long before", "callee first", "caller first", "mixed"]
)
def test_what_a_called_agent_has_used_is_counted_where_it_ran(bench: Bench, order: str, tokens: int) -> None:
    """Whichever process has sent its spans first, within what the gateway waits for."""
    calling, called = caller(), callee(4, tokens)
    if order in {"callee before a restart", "callee long before"}:
        bench.send(called)
        bench.step(SOON_S)
        assert bench.runs() == [("store", tokens)]
    if order == "callee before a restart":
        bench.restart()
    first, then = (calling, called) if order == "caller first" else (called, calling)
    requests = [[*calling[:2], *called], calling[2:]] if order == "mixed" else [first, then]
    for request in requests:
        bench.send(request)
        bench.step(0.5)
    bench.step(SOON_S)
    assert bench.runs() == [("desk", 70), ("store", tokens)]


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("tokens", [310, 300, 500])
@pytest.mark.parametrize("steps", [1, 3])
def test_what_was_counted_with_a_call_is_not_counted_again(
    bench: Bench, tokens: int, steps: int, *, is_restarted: bool
) -> None:
    """As a run's usage is fixed when it has settled: that of a callee that comes later is listed, and left out."""
    bench.send(caller())
    bench.step(SOON_S)
    assert bench.runs() == [("desk", 380)]
    if is_restarted:
        bench.restart()
    for request in [callee(4, tokens)] if steps == 1 else [[span] for span in reversed(callee(4, tokens))]:
        bench.send(request)
        bench.step(0.5)
    bench.step(SOON_S)
    assert bench.runs() == [("desk", 380), ("store", None)]
    rows = list(bench.store.runs(RunFilter()))
    told = {row.agent_name: row.standing.content.outcome.problems for row in rows if row.standing.content is not None}
    assert "late_usage" in map(str, told["store"])
    assert told["desk"] == ()


@pytest.mark.parametrize("is_restarted", [False, True])
def test_what_a_call_has_not_reported_is_counted_where_it_ran(bench: Bench, *, is_restarted: bool) -> None:
    """However late it comes."""
    silent = [replace(span, attributes=agent("store")) if span.id == 4 else span for span in caller()]
    bench.send(silent)
    bench.step(SOON_S)
    if is_restarted:
        bench.restart()
    bench.send(callee(4))
    bench.step(SOON_S)
    assert bench.runs() == [("desk", 70), ("store", 310)]


def test_a_called_agent_that_sends_nothing_is_told_by_its_call(bench: Bench) -> None:
    """Nor does one whose spans report nothing take from that."""
    bench.send([Sent(id=22, parent=4, attributes=agent("store"), resource=AWAY, flags=REMOTE)])
    bench.step(SOON_S)
    bench.send(caller())
    bench.step(SOON_S)
    assert bench.runs() == [("desk", 380), ("store", None)]


def test_the_resource_of_a_run_is_kept_with_it(bench: Bench) -> None:
    """As the ledger's totals are by it."""
    bench.send([replace(span, resource={"service.name": "till", "k8s.pod.name": "till-7"}) for span in a_run(1)])
    bench.step(SOON_S)
    with closing(sqlite3.connect(bench.path)) as connection:
        names = [row[0] for row in connection.execute("SELECT service_name FROM identities")]
    assert names == ["till"]


@pytest.mark.parametrize("start", ["0", None])
def test_a_run_whose_start_is_not_told_has_no_duration(bench: Bench, start: str | None) -> None:
    """In OTLP that is the same; from 1970 on it would have lasted for half a century."""
    request = json.loads(Sent(id=1, attributes=agent("desk")).line())
    request["resourceSpans"][0]["scopeSpans"][0]["spans"][0] |= {"startTimeUnixNano": start}
    bench.take(b"".join(pieces_of(json.dumps(request))))
    bench.step(SOON_S)
    (row,) = bench.store.runs(RunFilter())
    assert row.standing.content is not None
    assert row.standing.content.run.duration_s is None
    assert [str(each) for each in row.standing.content.outcome.problems] == ["negative_duration"]


def test_a_ledger_that_is_away_is_waited_for(bench: Bench) -> None:
    """Also by the next process, which comes to the same, whatever came late meanwhile."""
    bench.send(a_run(1))
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        bench.step(SOON_S)
        assert bench.assembly.counts().away_now == 1
        assert bench.assembly.counts().waiting_parts_now == 1
        bench.restart()
        bench.send([Sent(id=9, parent=1, trace=f"{1:032x}", flags=LOCAL, attributes=chat(1000))])
        assert bench.assembly.counts().late_spans == 1
        other.execute("ROLLBACK")
    bench.step()
    assert bench.runs() == [("desk", 20)]
    assert bench.assembly.counts().away_now == 0
    bench.restart()
    bench.step(LONG_S)
    assert bench.runs() == [("desk", 20)]


def test_what_was_counted_before_a_restart_is_not_counted_again(bench: Bench) -> None:
    """Neither when the same spans come again, nor when the rest of their trace does."""
    bench.send(a_run(1))
    bench.step(SOON_S)
    bench.restart()
    bench.send(a_run(1))
    bench.send([Sent(id=8, parent=1, trace=f"{1:032x}", flags=LOCAL, attributes=agent("nested"))])
    bench.step(SOON_S)
    assert bench.runs() == [("desk", 20)]
    counts = bench.assembly.counts()
    assert (counts.known_runs, counts.late_spans, counts.lost_spans) == (0, 4, 1)


def test_what_lacks_a_span_comes_to_the_same_after_a_restart(bench: Bench) -> None:
    """What was settled together is again, whatever came meanwhile; and the agent of a lost call is a run still."""
    trace = f"{1:032x}"
    lost = Sent(id=9, parent=8, trace=trace, flags=LOCAL, attributes=chat(5), start_us=300, end_us=400)
    bench.send([*a_run(1), lost])
    bench.step(SOON_S)
    assert bench.runs() == []
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        bench.step(LONG_S)
        assert bench.assembly.counts().waiting_parts_now == 1
        bench.restart()
        other.execute("ROLLBACK")
    bench.step()
    (row,) = bench.store.runs(RunFilter())
    assert row.standing.content is not None
    assert row.standing.content.run.cost.complete is False
    bench.step(LONG_S)
    bench.send([Sent(id=8, trace=trace, parent=50, flags=LOCAL, attributes=agent("slow"))])
    bench.step(LONG_S)
    assert bench.runs() == [("desk", 20), ("slow", None)]


def test_an_agent_that_comes_after_its_lost_calls_is_a_run(bench: Bench) -> None:
    """These were no run, so that they are forgotten, though they have settled together with one."""
    trace = f"{1:032x}"
    bench.send([*a_run(1), Sent(id=9, parent=8, trace=trace, flags=LOCAL, attributes=chat(5))])
    bench.step(LONG_S)
    assert bench.runs() == [("desk", 20)]
    bench.send([Sent(id=8, trace=trace, attributes=agent("slow"))])
    bench.step(SOON_S)
    assert bench.runs() == [("desk", 20), ("slow", None)]


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("stated", [agent("nested"), {"agent.outcome.value": "5.00"}])
def test_what_is_lost_with_a_late_span_is_told(
    bench: Bench, caplog: pytest.LogCaptureFixture, stated: dict[str, str | int], *, is_restarted: bool
) -> None:
    """To who sends it, in the log and as a figure; whether or not the process is the one that has counted it."""
    bench.send(a_run(1))
    bench.step(SOON_S)
    if is_restarted:
        bench.restart()
    late = Sent(id=8, parent=1, trace=f"{1:032x}", flags=LOCAL, attributes=stated)
    taken = bench.send([late])
    bench.step(LONG_S)
    assert taken.rejected == 0
    assert "idle-after" in taken.message
    assert bench.runs() == [("desk", 20)]
    counts = bench.assembly.counts()
    assert (counts.lost_spans, counts.late_spans, counts.problems) == (1, 1, 1)
    assert "too late" in caplog.text


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_run_that_paused_for_longer_than_is_waited_lists_it(bench: Bench, *, is_restarted: bool) -> None:
    """Its early calls are no longer held, or an agent below it was counted by itself, be it before a restart."""
    trace = f"{1:032x}"
    bench.send([Sent(id=9, parent=1, trace=trace, flags=LOCAL, attributes=chat(100))])
    bench.step(LONG_S)
    if is_restarted:
        bench.restart()
    bench.send([Sent(id=1, trace=trace, attributes=agent("slow"))])
    bench.step(SOON_S)
    other = f"{2:032x}"
    bench.send([Sent(id=9, parent=1, trace=other, flags=LOCAL, attributes=agent("inner"))])
    bench.step(LONG_S)
    if is_restarted:
        bench.restart()
    bench.send([Sent(id=1, trace=other, attributes={**agent("outer"), "agent.outcome.value": "100"})])
    bench.step(SOON_S)
    found = {}
    for row in bench.store.runs(RunFilter()):
        assert row.standing.content is not None
        found[row.agent_name] = [str(each) for each in row.standing.content.outcome.problems]
    assert found == {"slow": ["late_usage"], "inner": [], "outer": ["parent_not_seen"]}


def test_the_rest_of_a_trace_that_only_the_ledger_remembers_is_no_run(bench: Bench) -> None:
    """As after a restart, when nothing of it is in the journal."""
    bench.send(a_run(1))
    bench.step(SOON_S)
    bench.restart()
    assert bench.assembly.counts().restored_spans == 0
    bench.send([Sent(id=8, parent=7, trace=f"{1:032x}", flags=LOCAL, attributes=agent("nested"))])
    bench.step(LONG_S)
    assert bench.runs() == [("desk", 20)]
    assert bench.assembly.counts().late_parts == 1


@pytest.mark.parametrize("limits", [AssemblyLimits(journal_max_bytes=64 * 2**10)])
def test_no_more_is_taken_than_can_be_kept(bench: Bench) -> None:
    """The sender is told to come again, and can when there is room."""
    with pytest.raises(IntakeUnavailable, match="full") as refused:
        send_runs(bench, range(1, 10_000))
    assert 0 < refused.value.retry_after_s <= 5.0
    counts = bench.assembly.counts()
    assert counts.refused_requests == 1
    assert sum(file.stat().st_size for file in bench.files()) <= 64 * 2**10
    for _ in range(1 + counts.traces_now // 256):
        bench.step(SOON_S)
    assert len(bench.runs()) == counts.requests
    bench.send(a_run(20_000))


@pytest.mark.parametrize("limits", [AssemblyLimits(journal_max_bytes=256 * 2**10)])
def test_one_long_run_does_not_keep_the_whole_journal(bench: Bench) -> None:
    """Its spans go on to newer files, and are all there after a restart."""
    long, moments = f"{99:032x}", 60
    for moment in range(moments):
        bench.send([Sent(id=10 + moment, parent=1, trace=long, flags=LOCAL, attributes=chat(1))])
        for trace in range(20):
            bench.send(a_run(1000 + moment * 20 + trace))
        bench.step(SOON_S)
    counts = bench.assembly.counts()
    assert counts.moved_spans > 0
    assert counts.refused_requests == 0
    bench.restart()
    bench.send([Sent(id=1, trace=long, attributes=agent("long"))])
    bench.step(SOON_S)
    runs = bench.runs()
    assert len(runs) == 20 * moments + 1
    assert ("long", moments) in runs


def test_what_is_no_request_is_refused_and_what_has_no_ids_is_left_out(bench: Bench) -> None:
    """The rest of such a request is taken."""
    with pytest.raises(WireError):
        bench.take(b"\xff\xff\xff")
    pieces = pieces_of("\n".join(span.line() for span in a_run(1)))
    nameless = pieces[0].replace(bytes(15) + b"\x01", bytes(16))
    taken = bench.take(b"".join([*pieces, nameless]))
    assert taken.rejected == 1
    assert "id" in taken.message
    bench.step(SOON_S)
    assert bench.runs() == [("desk", 20)]


def test_draining_takes_no_more_and_settles_nothing_early(bench: Bench) -> None:
    """What is due is in the ledger, what is not is in the journal."""
    bench.send(a_run(1))
    bench.clock.now_s += SOON_S
    bench.send(a_run(2))

    async def drain() -> bool:
        running = asyncio.create_task(bench.assembly.run())
        done = await bench.assembly.drain(10.0)
        await running
        return done

    assert asyncio.run(drain())
    assert bench.runs() == [("desk", 20)]
    with pytest.raises(IntakeUnavailable, match="ending"):
        bench.send(a_run(3))
    bench.restart()
    bench.step(SOON_S)
    assert len(bench.runs()) == 2


def test_spans_that_cannot_be_read_are_counted_and_hurt_nobody(bench: Bench) -> None:
    """The run that they were in is counted with what the others say."""
    pieces = pieces_of("\n".join(span.line() for span in a_run(1)))
    name = b"gen_ai.usage.input_tokens"
    broken = pieces[0].replace(b"\x0a" + bytes((len(name),)) + name, b"\x0a\xff" + name)
    bench.take(b"".join([broken, *pieces[1:]]))
    bench.step(SOON_S)
    assert bench.assembly.counts().unreadable_spans == 1
    assert bench.runs() == [("desk", 10)]


def test_many_runs_in_any_division(bench: Bench) -> None:
    """More than go into one transaction, or one step."""
    spans = [span for trace in range(1, 701) for span in a_run(trace, calls=1)]
    chance = random.Random(5)
    for body in divided(pieces_of("\n".join(span.line() for span in spans)), chance):
        bench.take(body)
    for _ in range(4):
        bench.step(SOON_S)
    assert bench.runs() == [("desk", 10)] * 700


def test_killed_at_any_moment_it_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    """With eight senders, each of which sends until it is acknowledged."""
    figures = Killing(tmp_path, 11).run(KILLS, 1.0)
    print(f"{figures.kills} kills, {len(figures.acknowledged)} runs acknowledged, {len(figures.lost)} lost")
    assert figures.kills == KILLS
    assert figures.acknowledged
    assert not figures.lost
    assert not figures.strangers
    assert (figures.twice, figures.wrong_tokens, figures.first_difference) == (0, 0, None)
