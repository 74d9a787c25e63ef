# SPDX-License-Identifier: Apache-2.0
"""A gateway's own metrics in Prometheus' text format, from the counts of its parts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX: Final = "agent_outcomes_gateway"
_NOW: Final = "_now"


class Part(NamedTuple):
    """One part of a gateway and what it has counted: a frozen dataclass of whole numbers.

    A field that ends in `_now` is how much there is at this moment, any other how much there has been. A mapping is
    counted by `reason`.
    """

    name: str
    counts: Any


def exposition(parts: tuple[Part, ...], version: str) -> str:
    """All counts as one page of metrics."""
    lines = [f"# TYPE {_PREFIX}_info gauge", f'{_PREFIX}_info{{version="{_escaped(version)}"}} 1']
    for part in parts:
        for field in fields(part.counts):
            lines += _metric(part.name, field.name, getattr(part.counts, field.name))
    return "".join(f"{line}\n" for line in lines)


def _metric(part: str, field: str, value: object) -> Iterator[str]:
    is_gauge = field.endswith(_NOW)
    name = f"{_PREFIX}_{part}_{field.removesuffix(_NOW) if is_gauge else f'{field}_total'}"
    if isinstance(value, Mapping):
        yield f"# TYPE {name} {'gauge' if is_gauge else 'counter'}"
        for reason, count in sorted(value.items()):
            yield f'{name}{{reason="{_escaped(str(reason))}"}} {_number(count)}'
    elif isinstance(value, int | float):
        yield f"# TYPE {name} {'gauge' if is_gauge else 'counter'}"
        yield f"{name} {_number(value)}"


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, int) else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
