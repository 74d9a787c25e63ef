# SPDX-License-Identifier: Apache-2.0
"""Which spans of a file are one process: flags first, then what resources say of themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from agent_outcomes.explain.processes import processes_of
from agent_outcomes.explain.reading import read_spans
from tests.exported import CLIENT, LOCAL, REMOTE, SERVER, SERVICE, Sent, agent, chat, runs_in

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHER: Final = {"service.name": "stock"}
POD_1: Final = {**SERVICE, "k8s.pod.name": "shop-1"}
POD_2: Final = {**SERVICE, "k8s.pod.name": "shop-2"}


def instance(name: str, **more: str) -> dict[str, str | int]:
    return {**SERVICE, "service.instance.id": name, **more}


def pair(
    above: Mapping[str, str | int],
    below: Mapping[str, str | int],
    *,
    flags: int | None = None,
    above_kind: int = 1,
    below_kind: int = 1,
) -> list[Sent]:
    """An agent below an agent, each with a model call of its own, of these resources."""
    return [
        Sent(id=1, attributes=agent("outer"), resource=above, kind=above_kind),
        Sent(id=2, parent=1, attributes=chat(10), resource=above, flags=LOCAL),
        Sent(id=3, parent=1, attributes=agent("inner"), resource=below, flags=flags, kind=below_kind),
        Sent(id=4, parent=3, attributes=chat(5), resource=below, flags=LOCAL),
    ]


def is_one_run(spans: list[Sent]) -> bool:
    runs = runs_in(spans)
    assert runs in ([("outer", 15, 2, 2)], [("outer", 10, 1, 1), ("inner", 5, 1, 1)])
    return len(runs) == 1


@pytest.mark.parametrize(
    ("above", "below"),
    [(SERVICE, POD_1), (POD_1, SERVICE), (POD_1, POD_2), (SERVICE, OTHER), (instance("a"), instance("b")), ({}, POD_1)],
)
def test_a_local_parent_is_of_the_same_process_whatever_the_resources_say(
    above: Mapping[str, str | int], below: Mapping[str, str | int]
) -> None:
    """A collector adds to resources, and changes them; the span itself knows."""
    assert is_one_run(pair(above, below, flags=LOCAL))


@pytest.mark.parametrize(
    ("above", "below"), [(SERVICE, OTHER), (SERVICE, POD_1), (POD_1, POD_2), (instance("a"), instance("b"))]
)
def test_a_remote_parent_of_another_resource_is_of_another_process(
    above: Mapping[str, str | int], below: Mapping[str, str | int]
) -> None:
    """Its agent is a run of its own."""
    assert not is_one_run(pair(above, below, flags=REMOTE))


@pytest.mark.parametrize(("above_kind", "below_kind"), [(CLIENT, 1), (1, SERVER), (CLIENT, SERVER)])
def test_replicas_that_share_a_resource_and_call_each_other(above_kind: int, below_kind: int) -> None:
    """A remote parent, and a client or a server at either end."""
    assert not is_one_run(pair(SERVICE, SERVICE, flags=REMOTE, above_kind=above_kind, below_kind=below_kind))


def test_a_parent_that_reads_as_remote_within_one_resource_is_left_to_the_rules() -> None:
    """An instrumentation that knows the open span by its ids alone makes it look remote."""
    spans = [Sent(id=1), Sent(id=2, parent=1, flags=REMOTE)]
    assert len(groups(spans)) == 1
    assert len(groups([spans[0], replace(spans[1], resource=OTHER)])) == 2


def groups(spans: list[Sent]) -> list[list[int]]:
    read = read_spans("\n".join(span.line() for span in spans)).spans
    return [[one.id[1] for one in group] for group in processes_of(read)]


@pytest.mark.parametrize(
    ("above", "below", "is_one"),
    [
        (SERVICE, SERVICE, True),
        (SERVICE, POD_1, True),
        (POD_1, SERVICE, True),
        (POD_1, POD_2, False),
        (SERVICE, OTHER, False),
        ({}, POD_1, False),
        (instance("a"), instance("b"), False),
        (instance("a", zone="1"), instance("a", zone="2"), True),
        (instance("a"), {**OTHER, "service.instance.id": "a"}, False),
        ({**POD_1, "host.name": "h", "process.pid": 7}, {**POD_2, "host.name": "h", "process.pid": 7}, True),
        ({**POD_1, "host.name": "h", "process.pid": 7}, {**POD_2, "host.name": "h", "process.pid": 8}, False),
        ({**POD_1, "process.pid": 7}, {**POD_2, "process.pid": 7}, False),
    ],
)
def test_without_flags_resources_decide(
    above: Mapping[str, str | int], below: Mapping[str, str | int], *, is_one: bool
) -> None:
    """One instance, or one resource that says more than the other and nothing else."""
    assert is_one_run(pair(above, below)) is is_one


def test_without_flags_a_server_below_a_client_is_another_process() -> None:
    """That is what these kinds mean; a server's span alone may be an instrumentation's own."""
    assert not is_one_run(pair(SERVICE, SERVICE, above_kind=CLIENT, below_kind=SERVER))
    assert is_one_run(pair(SERVICE, SERVICE, below_kind=SERVER))
    assert not is_one_run(pair(SERVICE, POD_1, below_kind=SERVER))


def test_a_span_that_came_by_two_ways_ties_its_resources() -> None:
    """Both copies are of the process that made it, and either may be that of its parent."""
    spans = pair(POD_1, POD_2)
    assert is_one_run([*spans, replace(spans[2], resource=POD_1)])


def test_a_copy_without_flags_does_not_take_them_away() -> None:
    """The one that ended last counts, and what the other says of the parent."""
    early = replace(pair(POD_1, POD_2, flags=LOCAL)[2], end_us=500)
    spans = pair(POD_1, POD_2)
    assert is_one_run([*spans, early])
    assert is_one_run([early, *spans])


def test_the_copy_that_ended_last_counts() -> None:
    """Snapshots of a call that was open, in any order; one without an end is the least."""
    root = Sent(id=1, attributes=agent("a"), end_us=9000)
    copies = [
        Sent(id=2, parent=1, attributes=chat(tokens), end_us=end) for tokens, end in ((5, 10), (7, 20), (9, None))
    ]
    for order in (copies, copies[::-1], [copies[1], copies[2], copies[0]]):
        assert runs_in([root, *order]) == [("a", 7, 1, 1)]
