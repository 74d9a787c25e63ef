# SPDX-License-Identifier: Apache-2.0
"""What a proof has found: figures, each beside what was promised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; `promise` says what it has to be, nothing where it is only told."""

    name: str
    value: str
    promise: str = ""
    is_kept: bool = True


@dataclass(slots=True)
class Proof:
    """All figures of one program."""

    name: str
    figures: list[Figure] = field(default_factory=list)

    @property
    def is_kept(self) -> bool:
        """Whether every promise was kept."""
        return all(figure.is_kept for figure in self.figures)

    def tell(self, name: str, value: object) -> None:
        """Add a figure that nothing was promised of."""
        self.figures.append(Figure(name, _text(value)))

    def equal(self, name: str, value: object, promised: object) -> None:
        """Add one that has to be exactly so."""
        self.figures.append(Figure(name, _text(value), f"= {_text(promised)}", value == promised))

    def at_most(self, name: str, value: float, promised: float) -> None:
        """Add one with an upper bound."""
        self.figures.append(Figure(name, _text(value), f"<= {_text(promised)}", value <= promised))

    def at_least(self, name: str, value: float, promised: float) -> None:
        """Add one with a lower bound."""
        self.figures.append(Figure(name, _text(value), f">= {_text(promised)}", value >= promised))

    def lines(self) -> Iterator[str]:
        """The figures for people."""
        width = max((len(figure.name) for figure in self.figures), default=0)
        for figure in self.figures:
            mark = "" if figure.is_kept else "   BROKEN"
            yield f"  {figure.name:{width}}  {figure.value:>14}  {figure.promise}{mark}".rstrip()
        yield f"{self.name}: {'kept' if self.is_kept else 'BROKEN'}"


def _text(value: object) -> str:
    match value:
        case bool() | str():
            return str(value)
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"
        case _:
            return str(value)
