# SPDX-License-Identifier: Apache-2.0
"""Which exported spans were open in one process: those that hang together by parents of that process.

A parent of another process is no part of what a processor sees, so each such group is a world of its own. A span's own
flags say where its parent was. Its resource says so only where it has no flags, as a collector adds attributes to
resources (pod names, hosts, regions), and to the first batches of a process often none yet.

Spans get lost on the way: to a filter, a sampler, a queue that was full. A group that has lost the span above it is of
one world with all others of its trace that may be of its process, as it was to the processor there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from opentelemetry.trace import SpanKind

from agent_outcomes.explain.exported import ParentPlace

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource

    from agent_outcomes.explain.exported import ExportedSpan, SpanId

_SERVICE_NAME: Final = "service.name"
_INSTANCE_KEYS: Final = (
    ("service.instance.id",),
    ("host.id", "process.pid"),
    ("host.name", "process.pid"),
    ("container.id", "process.pid"),
    ("k8s.pod.uid", "process.pid"),
)
"""What tells one process from all others, each set by itself (semantic conventions, resource)."""
# Each span is looked for in these: to compare with two members is quicker than to hash one.
_CALLERS: Final = (SpanKind.CLIENT, SpanKind.PRODUCER)
CALLED_KINDS: Final = (SpanKind.SERVER, SpanKind.CONSUMER)
"""Spans that another process has called for."""


class Placed(Protocol):
    """What of a span says in which process it was, and in which its parent."""

    @property
    def id(self) -> Hashable:
        """What no other span is known by."""
        ...

    @property
    def parent_id(self) -> Hashable | None:
        """What its parent is known by."""
        ...

    @property
    def kind(self) -> SpanKind:
        """What it is to other processes."""
        ...

    @property
    def parent_place(self) -> ParentPlace:
        """Where its parent was, by its flags."""
        ...

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The resources of all its copies."""
        ...


PlacedT = TypeVar("PlacedT", bound=Placed)


class World(NamedTuple):
    """Groups that are of one process; of the topmost spans in `lost` the parent was of it, too, and is not there."""

    groups: list[list[ExportedSpan]]
    lost: frozenset[SpanId] = frozenset()


def worlds_of(spans: Sequence[ExportedSpan]) -> list[World]:
    """The groups of `processes_of`, of each trace together those that a lost span may have held together."""
    known = {span.id for span in spans}
    traces: dict[int, list[list[ExportedSpan]]] = {}
    for group in processes_of(spans):
        traces.setdefault(group[0].id[0], []).append(group)
    worlds: list[World] = []
    for groups in traces.values():
        tops = [] if len(groups) == 1 else [top_of(group) for group in groups]
        lost = frozenset(top.id for top in tops if lacks_parent(top, known))
        worlds += _joined(groups, lost) if lost else [World([group]) for group in groups]
    return worlds


def _joined(groups: list[list[ExportedSpan]], lost: frozenset[SpanId]) -> list[World]:
    """The groups of one trace, in one world those that may be of one process of which a span is lost."""
    of_resources: dict[frozenset[Resource], list[list[ExportedSpan]]] = {}
    for group in groups:
        of_resources.setdefault(resources_of(group), []).append(group)
    processes: list[tuple[list[frozenset[Resource]], list[list[ExportedSpan]], bool]] = []
    for resources, alike in of_resources.items():
        has_lost = any(top_of(group).id in lost for group in alike)
        near = [
            each
            for each in processes
            if (has_lost or each[2]) and any(may_be_one_process(resources, other) for other in each[0])
        ]
        processes = [each for each in processes if all(each is not one for one in near)]
        keys = [key for each in near for key in each[0]]
        members = [group for each in near for group in each[1]]
        processes.append(([*keys, resources], [*members, *alike], has_lost or bool(near)))
    return [
        world
        for _, members, has_lost in processes
        for world in ([World(members, lost)] if has_lost else [World([group]) for group in members])
    ]


def top_of(group: Sequence[PlacedT]) -> PlacedT:
    """The span that is below none of them; in a circle of parents any is as good as another."""
    ids = {span.id for span in group}
    return next((span for span in group if span.parent_id not in ids), group[0])


def lacks_parent(top: Placed, known: Collection[Hashable]) -> bool:
    """Whether the span's parent was of its process, as far as that is known, and is not among those that are known."""
    if top.parent_id is None or top.parent_id in known or top.parent_place is ParentPlace.ELSEWHERE:
        return False
    return top.parent_place is ParentPlace.HERE or top.kind not in CALLED_KINDS


def processes_of(spans: Sequence[PlacedT]) -> list[list[PlacedT]]:
    """The spans in groups that hang together within one process; each group is ordered as the spans were given."""
    by_id = {span.id: span for span in spans}
    heads: dict[Hashable, Hashable] = {span.id: span.id for span in spans}
    for span in spans:
        parent = span if span.parent_id is None else by_id.get(span.parent_id, span)
        if parent is not span and is_one_process(span, parent):
            heads[_head_of(heads, span.id)] = _head_of(heads, parent.id)
    groups: dict[Hashable, list[PlacedT]] = {}
    for span in spans:
        groups.setdefault(_head_of(heads, span.id), []).append(span)
    return list(groups.values())


def _head_of(heads: dict[Hashable, Hashable], one: Hashable) -> Hashable:
    while heads[one] != one:
        heads[one] = heads[heads[one]]
        one = heads[one]
    return one


def is_one_process(child: Placed, parent: Placed) -> bool:
    """Whether the child was made by the process that made its parent."""
    if child.parent_place is ParentPlace.HERE:
        return True
    is_called = child.kind in CALLED_KINDS
    is_calling = parent.kind in _CALLERS
    ours, theirs = child.resources, parent.resources
    # Nearly always one and the same object, which need not be compared.
    is_alike = ours[0] is theirs[0] if ours and theirs else False
    pairs = [] if is_alike else [(one, other) for one in ours for other in theirs]
    is_alike = is_alike or any(one == other or _names_one_instance(one, other) for one, other in pairs)
    if child.parent_place is ParentPlace.ELSEWHERE:
        # Some instrumentations hang a span below the one that is open by its ids alone, which reads as remote.
        return is_alike and not is_called and not is_calling
    if is_called and is_calling:
        return False
    return is_alike or (not is_called and any(_adds_to(one, other) for one, other in pairs))


def resources_of(group: Iterable[Placed]) -> frozenset[Resource]:
    """Each resource of a group once. Nearly all are one object; to hash one is to write it as JSON."""
    return frozenset({id(each): each for span in group for each in span.resources}.values())


def may_be_one_process(ours: Collection[Resource], theirs: Collection[Resource]) -> bool:
    """Whether nothing that resources say of themselves speaks against one process that they are of."""
    return ours == theirs or any(
        one == other or _names_one_instance(one, other) or _adds_to(one, other) for one in ours for other in theirs
    )


def _names_one_instance(one: Resource, other: Resource) -> bool:
    if one.attributes.get(_SERVICE_NAME) != other.attributes.get(_SERVICE_NAME):
        return False
    return any(_agree(one.attributes, other.attributes, keys) for keys in _INSTANCE_KEYS)


def _agree(one: Mapping[str, Any], other: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    return all(key in one and one[key] == other.get(key) for key in keys)


def _adds_to(one: Resource, other: Resource) -> bool:
    """Whether one resource may be the other with more attributes: a service of one name, and nothing contradicts."""
    shared = one.attributes.keys() & other.attributes.keys()
    return _SERVICE_NAME in shared and all(one.attributes[key] == other.attributes[key] for key in shared)
