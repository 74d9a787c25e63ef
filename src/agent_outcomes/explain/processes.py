# SPDX-License-Identifier: Apache-2.0
"""Which exported spans were open in one process: those that hang together by parents of that process.

A parent of another process is no part of what a processor sees, so each such group is a world of its own. A span's own
flags say where its parent was. Its resource says so only where it has no flags, as a collector adds attributes to
resources (pod names, hosts, regions), and to the first batches of a process often none yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from opentelemetry.trace import SpanKind

from agent_outcomes.explain.exported import ParentPlace

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource

_SERVICE_NAME: Final = "service.name"
_INSTANCE_KEYS: Final = (
    ("service.instance.id",),
    ("host.id", "process.pid"),
    ("host.name", "process.pid"),
    ("container.id", "process.pid"),
    ("k8s.pod.uid", "process.pid"),
)
"""What tells one process from all others, each set by itself (semantic conventions, resource)."""
_CALLERS: Final = frozenset({SpanKind.CLIENT, SpanKind.PRODUCER})
_CALLED: Final = frozenset({SpanKind.SERVER, SpanKind.CONSUMER})


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
    is_called = child.kind in _CALLED
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
