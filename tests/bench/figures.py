# SPDX-License-Identifier: Apache-2.0
"""The file of committed figures: by Python and SDK, then by case."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Figures = Mapping[str, float]


def read_figures(path: Path) -> dict[str, Figures]:
    """What the file holds; nothing, if it is not there. Raises ValueError if it is no such file."""
    if not path.exists():
        return {}
    read = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(read, dict):
        message = f"{path.name}: an object of objects is expected"
        raise ValueError(message)  # noqa: TRY004 - the file's content is wrong, not a type in the program
    return {key: _figures_in(path, key, figures) for key, figures in read.items()}


def write_figures(path: Path, figures: Mapping[str, Figures]) -> None:
    """Write the file, sorted, so that a change of one environment's figures changes those lines only."""
    ordered = {key: figures[key] for key in sorted(figures)}
    path.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")


def _figures_in(path: Path, key: str, figures: object) -> Figures:
    if isinstance(figures, dict) and all(isinstance(figure, float) for figure in figures.values()):
        return figures
    message = f"{path.name}: {key!r} should hold a ratio for each case, not {figures!r}"
    raise ValueError(message)
