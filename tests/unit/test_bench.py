# SPDX-License-Identifier: Apache-2.0
"""What the benchmark programs make of what they have measured."""

from __future__ import annotations

import argparse
import json
import threading
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.bench import callgrind, gate
from tests.bench.callgrind import CountingError, require_tools, segments_of, total_of
from tests.bench.cases import SPAN_BENCHES, MeasuredNothingError, check_emitted, outcome_case
from tests.bench.emission import counters_case, prepare_settlement, raw_calls_case, sink_case
from tests.bench.figures import read_figures, write_figures
from tests.bench.gate import GOALS, TOLERANCE, Verdict, judge
from tests.bench.imports import STATEMENTS
from tests.bench.otlp import loopback_endpoint, pipeline_case
from tests.bench.paired import AGAIN, ATTEMPTS, BASE, Comparison, Spread, Times, comparison_of, least_noisy
from tests.bench.report import names_among

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.figures import Figures

KNOWN: Figures = {"plain": 1.060, "trace": 1.250}

DUMP = """# callgrind format
version: 1
desc: Trigger: Client Request: {name}

events: Ir

totals: {total}
"""


def verdicts(measured: Figures, committed: Figures | None, *others: Figures, strict: bool = False) -> list[Verdict]:
    return [one.verdict for one in judge(measured, committed, others, strict=strict)]


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (1.060, Verdict.HELD),
        (1.060 + TOLERANCE, Verdict.HELD),
        (1.060 + TOLERANCE + 0.0001, Verdict.WORSE),
        (1.060 - TOLERANCE, Verdict.HELD),
        (1.060 - TOLERANCE - 0.0001, Verdict.BETTER),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_figure_is_held_against_the_committed_one(figure: float, verdict: Verdict, *, strict: bool) -> None:
    """More than the tolerance above it is worse, below it better; what other Pythons reach does not matter then."""
    assert verdicts({"plain": figure}, KNOWN, {"plain": 9.0}, strict=strict) == [verdict]


@pytest.mark.parametrize("committed", [None, {"trace": 1.0}], ids=["no environment", "no such case"])
@pytest.mark.parametrize(
    ("figure", "others", "strict", "verdict"),
    [
        (9.0, [KNOWN], False, Verdict.UNKNOWN),
        (1.11, [KNOWN, {"plain": 1.0}], True, Verdict.UNKNOWN),
        (1.12, [KNOWN, {"plain": 1.0}], True, Verdict.WORSE),
        (GOALS["plain"] + 0.04, [], True, Verdict.UNKNOWN),
        (GOALS["plain"] + 0.06, [], True, Verdict.WORSE),
    ],
)
def test_figure_of_an_unknown_environment(
    committed: Figures | None, figure: float, others: list[Figures], verdict: Verdict, *, strict: bool
) -> None:
    """It fails nothing, but in CI, where it is held loosely against the highest one committed, else the goal."""
    assert verdicts({"plain": figure}, committed, *others, strict=strict) == [verdict]


def test_complaint_names_case_figure_and_goal() -> None:
    """A failure says which case takes how much, what was committed, and what the goal is."""
    (worse,) = judge({"plain": 1.2345}, KNOWN, [], strict=False)
    complaint = gate._complaint(worse)
    assert all(part in complaint for part in ("plain", "1.2345", "1.0600", f"{GOALS['plain']:.3f}"))


def test_committed_figures_are_of_known_cases() -> None:
    """The file in the tree holds no others, each under the key of a Python and an SDK."""
    for key, figures in read_figures(gate.FIGURES).items():
        assert figures.keys() <= GOALS.keys(), key
        assert "opentelemetry-sdk" in key


def test_figures_are_read_as_written(tmp_path: Path) -> None:
    """Figures of other environments stay as they were; no file holds nothing."""
    path = tmp_path / "figures.json"
    assert read_figures(path) == {}
    write_figures(path, {"b": {"plain": 1.25}, "a": KNOWN})
    assert read_figures(path) == {"a": KNOWN, "b": {"plain": 1.25}}
    assert list(json.loads(path.read_text())) == ["a", "b"]


@pytest.mark.parametrize("content", ["[]", '{"a": 1.0}', '{"a": {"plain": "1.0"}}'])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    """A file of another shape is named."""
    path = tmp_path / "figures.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"figures\.json"):
        read_figures(path)


def test_segments_are_found_by_name() -> None:
    """What callgrind writes when it is not told to, at the end, is no segment."""
    end = DUMP.replace("Client Request: {name}", "Program termination").format(total=5)
    dumps = [DUMP.format(name="plain:base", total=1200), DUMP.format(name="plain:ours", total=1300), end]
    assert segments_of(dumps) == {"plain:base": 1200, "plain:ours": 1300}
    assert total_of(end) == 5
    with pytest.raises(CountingError, match="without a total"):
        total_of("events: Ir\n")


def test_a_case_takes_the_fewest_of_all_layouts() -> None:
    """Base and ours each by themselves, whichever layout they had them with; other cases are not looked at."""
    counts = [{"plain:base": 110, "plain:ours": 120}, {"plain:base": 100, "plain:ours": 125}, {"model:base": 90}]
    assert gate._fewest(counts, "plain:base") == 100
    assert gate._fewest(counts, "plain:ours") == 120


def test_layouts_differ_in_what_lies_on_the_heap() -> None:
    """Each has more variables than the one before, of every size that a name may have."""
    layouts = [gate._ballast(layout) for layout in range(gate.LAYOUTS)]
    assert layouts[0] == {}
    assert all(before.items() < after.items() for before, after in pairwise(layouts))
    assert len({len(value) for value in layouts[1].values()}) > 1


def test_missing_tools_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Valgrind and a compiler the message says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CountingError, match=r"valgrind and cc .* apt-get install valgrind gcc libc6-dev"):
        require_tools()
    assert set(callgrind._PACKAGES) == {"valgrind", "cc"}


def test_names_are_taken_in_the_known_order() -> None:
    """Names joined by commas; an unknown one is told with those that there are."""
    parse = names_among(["plain", "model", "trace"])
    assert parse("trace, plain") == ["plain", "trace"]
    with pytest.raises(argparse.ArgumentTypeError, match=r"'import'; there are plain, model, trace"):
        parse("plain,import")


def test_ratios_are_of_the_same_round() -> None:
    """A round in which everything took twice as long changes no ratio."""
    base, ours = Times([1000.0, 2000.0, 1000.0], [1.0, 2.0, 1.0]), Times([1500.0, 3000.0, 1500.0], [3.0, 6.0, 3.0])
    comparison = comparison_of({BASE: base, AGAIN: base, "ours": ours})
    assert comparison.base_us == 1.0
    assert not comparison.is_noisy
    assert list(comparison.contenders) == ["ours"]
    assert comparison.contenders["ours"].cpu == Spread(1.5, 1.5, 1.5)
    assert comparison.contenders["ours"].wall == Spread(3.0, 3.0, 3.0)


def test_least_noisy_attempt_counts() -> None:
    """A noisy comparison is repeated a few times; of several noisy ones the least noisy is shown."""
    same = iter([1.10, 0.95, 1.07, 1.00])
    noisy = least_noisy(lambda: Comparison(1.0, Spread(next(same), 0, 0), {}))
    assert noisy.is_noisy
    assert noisy.same.median == 0.95
    assert ATTEMPTS == 3
    assert not least_noisy(lambda: Comparison(1.0, Spread(next(same), 0, 0), {})).is_noisy


@pytest.mark.parametrize("name", SPAN_BENCHES)
def test_span_cases_emit_their_outcomes(name: str) -> None:
    """Every run of a workload, also of the same case again, has exactly its outcomes."""
    case = outcome_case(SPAN_BENCHES[name])
    case(2)
    case(3)


def test_emission_cases_emit_each_time() -> None:
    """A settlement is emitted as often as it is given to the sink: it holds nothing that makes the second one cheap."""
    settlement = prepare_settlement()
    for make in (sink_case, raw_calls_case, counters_case):
        case = make(settlement)
        case(2)
        case(3)


def test_pipelines_that_were_measured_do_nothing_more() -> None:
    """No thread of theirs sends on, to a sink that is gone, while something else is measured."""
    before = set(threading.enumerate())
    with loopback_endpoint() as endpoint, ExitStack() as stack:
        for with_outcomes in (False, True):
            pipeline_case(endpoint, stack, with_outcomes=with_outcomes)(1)
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) <= before


def test_case_that_emits_too_little_is_no_measurement() -> None:
    """A case that did not do its work raises."""
    with pytest.raises(MeasuredNothingError, match="3 outcomes were to be emitted, and 2 were"):
        check_emitted(2, 3)


def test_imports_have_their_base_twice() -> None:
    """The A/A pair of importing is the same statement twice."""
    assert STATEMENTS[BASE] == STATEMENTS[AGAIN]
