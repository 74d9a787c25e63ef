# SPDX-License-Identifier: Apache-2.0
"""Real frameworks against a fake model provider: every cell is right, or says why it cannot be and what helps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.frameworks.cast import CASTS
from tests.frameworks.expectations import HERE
from tests.frameworks.scenarios import RIGHT, Scenario

if TYPE_CHECKING:
    import pytest

    from tests.frameworks.conftest import Observe
    from tests.frameworks.expectations import ExpectedCell, Framework
    from tests.frameworks.observation import Observation
    from tests.frameworks.scenarios import Beyond


def test_all_scenarios_are_there(framework: Framework) -> None:
    """Every scenario has a cell, if only to say why it is left out."""
    assert set(framework.cells) == set(Scenario)


def test_what_is_wrong_has_a_footnote(framework: Framework) -> None:
    """A cell is right and needs no footnote, or it is not right and says why."""
    for scenario, cell in framework.cells.items():
        assert framework.is_right(scenario) == (cell.footnote is None), scenario
    assert framework.costs_what_is_charged == (framework.cost_note is None)


def assert_as_expected(observation: Observation, cell: ExpectedCell) -> None:
    assert cell.observation is not None
    assert observation.as_json() == cell.observation.as_json()
    assert observation.faults == ()


def test_cell(framework: Framework, scenario: Scenario, observe: Observe) -> None:
    """The user's code as it is: runs, status, retryability, category, evidence and tokens as expected."""
    assert_as_expected(observe(framework, scenario), framework.cells[scenario])


def test_remedy(framework: Framework, scenario: Scenario, observe: Observe) -> None:
    """With the footnote's remedy the cell is right."""
    observation = observe(framework, scenario, remedied=True)
    lacks_tokens = framework.cells[scenario].remedy_lacks_tokens
    assert observation.is_right(RIGHT[scenario], lacks_tokens=lacks_tokens), observation.as_json()
    assert observation.faults == ()


def test_beyond(framework: Framework, beyond: Beyond, observe: Observe) -> None:
    """What only this framework has is counted as expected, too."""
    assert_as_expected(observe(framework, beyond), framework.beyond[beyond])


def test_results_are_current(framework: Framework, observe: Observe, request: pytest.FixtureRequest) -> None:
    """The results that the table of frameworks is made from are those of the versions and names that are here."""
    present = [scenario for scenario in Scenario if framework.cells[scenario].observation is not None]
    remedied = [scenario for scenario in present if framework.cells[scenario].remedy is not None]
    results = {
        "versions": framework.versions,
        "names": [cast.lead for cast in CASTS],
        "cells": {name.value: observe(framework, name).as_json() for name in present},
        "remedies": {name.value: observe(framework, name, remedied=True).as_json() for name in remedied},
    }
    text = json.dumps(results, indent=1) + "\n"
    path = HERE / "results" / f"{framework.id}.json"
    if request.config.getoption("--write-results"):
        path.write_text(text)
    assert path.read_text() == text, "the results have changed: run `make frameworks` and look at the difference"
