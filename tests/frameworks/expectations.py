# SPDX-License-Identifier: Apache-2.0
"""What each framework's cells are expected to show, read from `expected/*.yaml`.

A file has `title`, `spans` (whose spans they are), `environment` (of `environments/`), `distributions` (whose versions
the table shows, the framework first) and `cells`: by scenario what `Observation.as_json` gives, word for word. A cell
that is not right has a `footnote` that says why; if anything helps, `remedy` is what the user adds, and the adapter's
`REMEDIES` show that it does (`remedy_lacks_tokens: true` where what is used after the run's end must stay out of it). A
scenario that a framework cannot express is `{left_out: why}`. Where costs are not what the provider charges,
`cost_note` says why; `note` says what holds for the framework as a whole. `beyond` has cells that are in no table.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.frameworks.observation import LEDGER, Observation
from tests.frameworks.scenarios import RIGHT, Beyond, Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE: Final = Path(__file__).parent
_NOTES: Final = ("footnote", "remedy", "remedy_lacks_tokens", "left_out")


@dataclass(frozen=True, slots=True)
class ExpectedCell:
    """What one cell shows; `observation` is `None` for a scenario that is left out."""

    observation: Observation | None
    footnote: str | None = None
    remedy: str | None = None
    remedy_lacks_tokens: bool = False

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> ExpectedCell:
        """Read a cell; raises `TypeError` or `KeyError` for one that says something else."""
        if "left_out" in data:
            return cls(None, footnote=data["left_out"])
        seen = {key: value for key, value in data.items() if key not in _NOTES}
        lacks_tokens = data.get("remedy_lacks_tokens", False)
        return cls(Observation.from_json(seen), data.get("footnote"), data.get("remedy"), lacks_tokens)


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework with one of its instrumentations."""

    id: str
    title: str
    spans: str
    environment: str
    distributions: tuple[str, ...]
    note: str | None = None
    cost_note: str | None = None
    cells: Mapping[Scenario, ExpectedCell] = field(default_factory=dict)
    beyond: Mapping[Beyond, ExpectedCell] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, str]:
        """The installed versions; raises `PackageNotFoundError` if one is not there."""
        return {name: importlib.metadata.version(name) for name in self.distributions}

    @property
    def is_installed(self) -> bool:
        """Whether all of it can be imported here."""
        try:
            return bool(self.versions)
        except importlib.metadata.PackageNotFoundError:
            return False

    @property
    def costs_what_is_charged(self) -> bool:
        """Whether every cell's cost is the provider's."""
        seen = [cell.observation for cell in self.cells.values() if cell.observation is not None]
        return all(observation.cost in (None, LEDGER) for observation in seen)

    def is_right(self, scenario: Scenario) -> bool:
        """Whether the expected cell says what is right, with nothing to be added by the user."""
        observation = self.cells[scenario].observation
        return observation is not None and observation.is_right(RIGHT[scenario])


@cache
def frameworks() -> tuple[Framework, ...]:
    """All frameworks, in the order of their titles."""
    found = [_read(path) for path in sorted((HERE / "expected").glob("*.yaml"))]
    return tuple(sorted(found, key=lambda framework: (framework.title.casefold(), framework.spans)))


def _read(path: Path) -> Framework:
    data = yaml.safe_load(path.read_text())
    return Framework(
        id=path.stem,
        title=data["title"],
        spans=data["spans"],
        environment=data["environment"],
        distributions=tuple(data["distributions"]),
        note=data.get("note"),
        cost_note=data.get("cost_note"),
        cells={Scenario(name): ExpectedCell.read(cell) for name, cell in data["cells"].items()},
        beyond={Beyond(name): ExpectedCell.read(cell) for name, cell in data.get("beyond", {}).items()},
    )
