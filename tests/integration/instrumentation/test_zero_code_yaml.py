# SPDX-License-Identifier: Apache-2.0
"""Zero-code with a YAML file in `OTEL_CONFIG_FILE`: the documented file, options good and bad, and the samplers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.integration.otelcol import ROOT
from tests.integration.otlp_sink import plain
from tests.integration.zero_code import Application, agents, run_counts, span_names
from tests.ledger_pipeline import store_at, url_of

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.integration.otelcol import Collector

# The SDK itself logs this for every file.
IGNORED = "OTEL_CONFIG_FILE is set; ignoring configurator kwargs"


@pytest.fixture
def app(collector: Collector, tmp_path: Path) -> Application:
    made = Application.made_in(tmp_path, collector)
    for name in list(made.environ):
        if name.startswith("OTEL_"):
            del made.environ[name]
    return made


def documented_yaml(collector: Collector) -> str:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "examples" / "zero_code" / "README.md").read_text(), re.DOTALL)
    return str(block).replace("http://127.0.0.1:4317", collector.grpc_endpoint)


def run_with(app: Application, yaml: str, script: str = "import app; app.run()") -> subprocess.CompletedProcess[str]:
    (app.folder / "otel.yaml").write_text(yaml)
    return app.python(script, OTEL_CONFIG_FILE="otel.yaml")


def with_options(collector: Collector, options: str) -> str:
    """The documented file with these options in place of its own."""
    changed, count = re.subn(r"agent_outcomes: \{.*?\}", f"agent_outcomes: {options}", documented_yaml(collector))
    assert count == 1
    return changed


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if IGNORED not in line]


def test_the_documented_file(collector: Collector, app: Application) -> None:
    """It delivers span, event and metrics with its options in force, each process under an instance id of its own."""
    done = run_with(app, documented_yaml(collector))
    assert (done.returncode, complaints(done)) == (0, [])
    assert sorted(span_names(collector)) == ["agent.outcome", "invoke_agent bot"]
    assert (agents(collector), run_counts(collector)) == (["bot"], [1])
    resource = plain(collector.metrics()[0].resource_metrics[0].resource.attributes)
    assert "service.instance.id" in resource


def test_a_bad_option_is_named_and_the_good_ones_stay_in_force(collector: Collector, app: Application) -> None:
    """OpenTelemetry would drop all options for one that is unknown, and go on with defaults."""
    options = '{outcome_span: true, labels_max: "20", hide_mesage: true, handoffs: [1], agents_max: }'
    done = run_with(app, with_options(collector, options))
    assert done.returncode == 0
    assert complaints(done) == [
        "agent outcomes: option hide_mesage is not known; did you mean hide_message?",
        "agent outcomes: labels_max='20' is not usable; give a whole number from 0 to 500; 50 is used",
        "agent outcomes: handoffs=[1] is not usable; give true or false; false is used",
    ]
    assert sorted(span_names(collector)) == ["agent.outcome", "invoke_agent bot"]
    assert run_counts(collector) == [1]


def test_a_variable_holds_where_the_file_says_nothing(collector: Collector, app: Application) -> None:
    """An option of the file comes before its variable."""
    app.environ["AGENT_OUTCOMES_OUTCOME_SPAN"] = "true"
    run_with(app, with_options(collector, "{}"))
    assert sorted(span_names(collector)) == ["agent.outcome", "invoke_agent bot"]
    run_with(app, with_options(collector, "{outcome_span: false}"))
    assert sorted(span_names(collector)) == ["agent.outcome", "invoke_agent bot", "invoke_agent bot"]


def test_a_ledger_is_an_option_like_any_other(collector: Collector, app: Application) -> None:
    """Its runs are kept there; the ledger delivers to where OTEL_EXPORTER_OTLP_* leads, as it reads no file."""
    app.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.grpc_endpoint
    done = run_with(app, with_options(collector, '{ledger: "sqlite:///outcomes.db", ledger_sync: false}'))
    assert (done.returncode, complaints(done)) == (0, [])
    assert store_at(url_of(app.folder / "outcomes.db")).status().delivered == 1
    assert (agents(collector), run_counts(collector)) == (["bot"], [1])


def test_it_can_be_disabled_by_name(collector: Collector, app: Application) -> None:
    """OTEL_PYTHON_DISABLED_INSTRUMENTATIONS holds for what the file lists, too."""
    app.environ["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = "agent_outcomes"
    done = run_with(app, documented_yaml(collector))
    assert (complaints(done), span_names(collector), collector.logs()) == ([], ["invoke_agent bot"], [])


@pytest.mark.parametrize(("ratio", "exported"), [("0", []), ("1", ["agent.outcome", "invoke_agent bot"])])
def test_a_sampler_in_the_file(collector: Collector, app: Application, ratio: str, exported: list[str]) -> None:
    """The SDK gives a sampler no options: the ratio comes from OTEL_TRACES_SAMPLER_ARG. Every run counts."""
    app.environ["OTEL_TRACES_SAMPLER_ARG"] = ratio
    yaml = documented_yaml(collector).replace(
        "tracer_provider: {", "tracer_provider: {sampler: {outcome_parentbased_traceidratio: {}}, "
    )
    done = run_with(app, yaml)
    assert (done.returncode, complaints(done)) == (0, [])
    assert sorted(span_names(collector)) == exported
    assert (agents(collector), run_counts(collector)) == (["bot"], [1])
