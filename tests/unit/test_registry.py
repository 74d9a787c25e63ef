# SPDX-License-Identifier: Apache-2.0
"""The vocabulary registry: well-formed, in step with the design's tables, and the only source of names."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_outcomes import semconv

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "agent_outcomes"
GENERATOR = ROOT / "tests" / "tools" / "generate_vocabulary.py"
TABLES = ("read", "event", "handoff", "metrics", "health", "reasons", "ledger", "dead", "problems")
SEMCONV_FILE = "src/agent_outcomes/semconv.py"
REFERENCE_FILE = "src/agent_outcomes/registry/README.md"


def _marked(*names: str) -> str:
    return "".join(f"<!-- generated:{name} -->\nold\n<!-- /generated:{name} -->\n" for name in names)


RUN_KEYS = ("gen_ai.agent.name", "agent.outcome.job_type", "agent.outcome.status")
OUTCOME_KEYS = (*RUN_KEYS, "agent.outcome.type", "agent.outcome.success", "agent.outcome.label")
VALUE_KEYS = (*OUTCOME_KEYS, "agent.outcome.currency")
COST_KEYS = (*OUTCOME_KEYS, "agent.outcome.cost_currency")
INSTRUMENTS = {
    "agent.runs": (
        "counter",
        "{run}",
        (*RUN_KEYS, "agent.outcome.retryable", "agent.outcome.error.category", "agent.outcome.source"),
    ),
    "agent.run.duration": ("histogram", "s", RUN_KEYS),
    "agent.run.cost": ("counter", "{currency}", (*RUN_KEYS, "agent.outcome.cost_currency", "agent.cost.kind")),
    "agent.run.tokens": ("counter", "{token}", ("gen_ai.agent.name", "gen_ai.token.type")),
    "agent.outcomes": ("counter", "{outcome}", OUTCOME_KEYS),
    "agent.outcome.value": ("counter", "{currency}", VALUE_KEYS),
    "agent.outcome.cost": ("counter", "{currency}", COST_KEYS),
    "agent.outcome.reversals": ("counter", "{outcome}", OUTCOME_KEYS),
    "agent.outcome.reversal.value": ("counter", "{currency}", VALUE_KEYS),
    "agent.outcome.reversal.cost": ("counter", "{currency}", COST_KEYS),
    "agent_outcomes.processor.events": ("counter", "{event}", ()),
    "agent_outcomes.processor.dropped": ("counter", "{item}", ("error.type", "agent_outcomes.signal")),
    "agent_outcomes.processor.problems": ("counter", "{problem}", ("agent_outcomes.problem",)),
    "agent_outcomes.processor.unknown_words": ("counter", "{word}", ("agent_outcomes.field",)),
    "agent_outcomes.processor.spans_evicted": ("counter", "{span}", ()),
    "agent_outcomes.processor.errors": ("counter", "{error}", ("error.type",)),
    "agent_outcomes.ledger.accepted": ("counter", "{event}", ()),
    "agent_outcomes.ledger.delivered": ("counter", "{event}", ()),
    "agent_outcomes.ledger.waiting": ("updowncounter", "{event}", ()),
    "agent_outcomes.ledger.dead": ("updowncounter", "{event}", ("error.type",)),
    "agent_outcomes.ledger.oldest_waiting": ("gauge", "s", ()),
    "agent_outcomes.ledger.pending": ("updowncounter", "{run}", ("agent_outcomes.age",)),
    "agent_outcomes.ledger.held": ("updowncounter", "{report}", ()),
    "agent_outcomes.ledger.orphans": ("updowncounter", "{report}", ()),
}
UNUSABLE = 2
DURATION_BUCKETS_S = (*(0.1 * 2**power for power in range(13)), 900.0, 1800.0, 3600.0, 7200.0)
OUTCOME_LEAVES_READ = (
    "status success type label value currency cost cost_currency retryable message error.category job_type run_id "
    "metadata source evidence"
)


def _groups() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for stem in ("attributes", "metrics", "events"):
        found += yaml.safe_load((SOURCE / "registry" / f"{stem}.yaml").read_text(encoding="utf-8"))["groups"]
    return found


def _definitions() -> dict[str, dict[str, Any]]:
    """Attributes by name: our own, and those of the semantic conventions that are declared as imported."""
    entries = [entry for group in GROUPS if group["type"] == "attribute_group" for entry in group["attributes"]]
    return {entry.get("id") or entry["ref"]: entry for entry in entries}


GROUPS = _groups()
DEFINITIONS = _definitions()
METRICS = {group["metric_name"]: group for group in GROUPS if group["type"] == "metric"}
NO_ATTRIBUTES = {"EVENT_NAME", "HANDOFF_EVENT_NAME", "LABEL_ALIAS", "METADATA_PREFIX", "SCOPE_NAME"}
EVENTS = [group for group in GROUPS if group["type"] == "event"]


def _instruments() -> dict[str, semconv.Instrument]:
    found = [value for value in vars(semconv).values() if isinstance(value, semconv.Instrument)]
    return {instrument.name: instrument for instrument in found}


def _registry_enums() -> dict[str, list[str]]:
    """Values of each enum in the registry, by class name."""
    found: dict[str, list[str]] = {}
    for group in GROUPS:
        for entry in group.get("attributes", []):
            notes = entry.get("annotations", {})
            if "enum" in notes:
                declared = entry.get("type")
                members = declared["members"] if isinstance(declared, dict) else notes["members"]
                found[notes["enum"]] = [member["value"] for member in members]
    return found


def test_group_ids_are_unique() -> None:
    """No two groups share an id, and no attribute is defined twice."""
    ids = [group["id"] for group in GROUPS]
    names = [
        entry.get("id") or entry["ref"]
        for group in GROUPS
        if group["type"] == "attribute_group"
        for entry in group["attributes"]
    ]
    assert len(set(ids)) == len(ids)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_attribute_is_fully_described(name: str) -> None:
    """Each attribute has a brief, a direction and a type; each of our own a stability and an example of its type."""
    entry = DEFINITIONS[name]
    notes = entry["annotations"]
    assert entry["brief"].strip().endswith(".")
    assert notes["direction"] in {"read", "written", "both"}
    if "ref" in entry:
        assert notes["imported"] == {"registry": "otel", "type": "string"}
        return
    assert entry["stability"] == "development"
    types = {"string": str, "boolean": bool, "double": float, "int": int, "string[]": list}
    declared = entry["type"]
    expected = str if isinstance(declared, dict) else types[declared]
    assert entry["examples"]
    assert all(type(example) is expected for example in entry["examples"])


def test_enum_members_are_fully_described() -> None:
    """Each enum member has an id equal to its value, a sentence and a stability, and occurs once."""
    for entry in DEFINITIONS.values():
        declared = entry.get("type")
        members = declared["members"] if isinstance(declared, dict) else entry["annotations"].get("members", [])
        assert isinstance(declared, dict) <= ("enum" in entry["annotations"])
        values = [member["value"] for member in members]
        assert len(set(values)) == len(values)
        for member in members:
            assert member["id"] == member["value"]
            assert member["brief"].endswith(".")
            assert member["stability"] == "development"


def test_every_reference_resolves() -> None:
    """Metrics and events refer only to attributes that are defined or imported."""
    refs = {entry["ref"] for group in [*METRICS.values(), *EVENTS] for entry in group.get("attributes", [])}
    assert refs <= set(DEFINITIONS)


def test_every_written_attribute_is_used() -> None:
    """What is written is on an event, unless it is for metrics only; what is for metrics only is on a metric."""
    event = {entry["ref"] for group in EVENTS for entry in group["attributes"]}
    on_metrics = {entry["ref"] for group in METRICS.values() for entry in group.get("attributes", [])}
    for name, entry in DEFINITIONS.items():
        notes = entry["annotations"]
        if notes.get("metrics_only"):
            assert name in on_metrics - event
        elif name.startswith("agent.cost."):
            assert name in event  # read from spans, and written of a late cost
        elif notes["direction"] != "read":
            assert name in event
        else:
            assert name not in event


def test_metrics_and_event_are_fully_described() -> None:
    """Each metric and each event has a brief and a stability; each event attribute says when it is present."""
    assert [event["name"] for event in EVENTS] == ["agent.outcome", "agent.handoff"]
    for group in [*METRICS.values(), *EVENTS]:
        assert group["brief"].strip().endswith(".")
        assert group["stability"] == "development"
    for entry in (entry for group in EVENTS for entry in group["attributes"]):
        level = entry["requirement_level"]
        assert level == "required" or level["conditionally_required"]


def test_no_name_is_a_namespace_of_an_attribute() -> None:
    """Backends that nest dotted keys can hold every attribute beside every other."""
    for name in [*DEFINITIONS, *METRICS]:
        assert not [other for other in DEFINITIONS if other.startswith(f"{name}.")]


def test_names_stay_apart_with_underscores() -> None:
    """Backends that replace dots by underscores keep all names apart."""
    names = {*DEFINITIONS, *METRICS}
    assert len({name.replace(".", "_") for name in names}) == len(names)


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_instrument_is_as_designed(name: str) -> None:
    """Kind, unit and attribute keys of each instrument are the design's, in its order."""
    instrument = _instruments()[name]
    assert (instrument.kind.value, instrument.unit, instrument.attributes) == INSTRUMENTS[name]
    assert instrument.description == " ".join(METRICS[name]["brief"].split())


def test_instruments_are_those_designed() -> None:
    """There is no other instrument, only the histogram has buckets, and the two sets of counters are complete."""
    instruments = _instruments()
    assert list(instruments) == list(INSTRUMENTS)
    duration = instruments.pop("agent.run.duration")
    assert duration.buckets == pytest.approx(DURATION_BUCKETS_S)
    assert all(low < high for low, high in pairwise(duration.buckets))
    assert not any(instrument.buckets for instrument in instruments.values())
    sets = (semconv.OUTCOME_COUNTERS, semconv.HEALTH_COUNTERS, semconv.LEDGER_INSTRUMENTS)
    assert tuple(chain.from_iterable(sets)) == tuple(instruments.values())
    assert all(counter.name.startswith("agent_outcomes.processor.") for counter in semconv.HEALTH_COUNTERS)
    assert all(each.name.startswith("agent_outcomes.ledger.") for each in semconv.LEDGER_INSTRUMENTS)


def test_constants_are_the_registry_names() -> None:
    """Each attribute has one constant, named after it."""
    constants = {
        name: value
        for name, value in vars(semconv).items()
        if isinstance(value, str) and name.isupper() and name not in NO_ATTRIBUTES
    }
    assert constants == {name.upper().replace(".", "_"): name for name in DEFINITIONS}
    assert semconv.EVENT_NAME == "agent.outcome"
    assert semconv.LABEL_ALIAS == "agent.outcome"
    assert semconv.METADATA_PREFIX == "agent.outcome.metadata."


def test_read_sets_are_as_designed() -> None:
    """The two sets that decide whether a span is looked at hold exactly the names the design reads."""
    leaves = {f"agent.outcome.{leaf}" for leaf in OUTCOME_LEAVES_READ.split()}
    assert leaves | {"agent.outcome"} == semconv.READ_ATTRIBUTES
    assert {"agent.cost.amount", "agent.cost.currency", "agent.cost.kind"} == semconv.COST_ATTRIBUTES


@pytest.mark.parametrize("name", sorted(_registry_enums()))
def test_enum_is_the_registry_enum(name: str) -> None:
    """Each enum class has the registry's words, in its order, each named after its value."""
    members = list(getattr(semconv, name))
    assert [member.value for member in members] == _registry_enums()[name]
    assert all(member.name == member.value.upper() for member in members)


def _docstrings(tree: ast.Module) -> set[int]:
    """Identities of the constants that stand alone as statements."""
    nodes = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    return {id(node) for node in nodes if isinstance(node, ast.Constant)}


def _own_names(text: str) -> list[str]:
    tree = ast.parse(text)
    allowed = _docstrings(tree)
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in allowed
        and node.value.startswith(("agent.outcome.", "agent.cost."))
    ]


def test_names_are_spelled_in_one_module_only() -> None:
    """No module but the generated one spells an attribute name; f-strings count, docstrings do not."""
    found = {
        str(path.relative_to(SOURCE)): names
        for path in sorted(SOURCE.rglob("*.py"))
        if path.name != "semconv.py" and (names := _own_names(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_scan_finds_a_spelled_name() -> None:
    """The scan sees plain literals and f-strings, and passes docstrings over."""
    text = '"""agent.outcome.status"""\nA = "agent.cost.kind"\nB = f"agent.outcome.{A}"\nC = "agent.outcomes"\n'
    assert _own_names(text) == ["agent.cost.kind", "agent.outcome."]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Lay out a copy of what the generator reads and writes, brought up to date."""
    shutil.copytree(SOURCE / "registry", tmp_path / "src" / "agent_outcomes" / "registry")
    (tmp_path / REFERENCE_FILE).write_text(_marked(*TABLES), encoding="utf-8")
    (tmp_path / "README.md").write_text(_marked("common"), encoding="utf-8")
    assert _generate(tmp_path).returncode == 0
    return tmp_path


def _generate(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(GENERATOR), "--root", str(root), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_semconv_is_generated_from_the_registry(checkout: Path) -> None:
    """The module in the source tree is what the generator writes, byte for byte, run after run."""
    generated = checkout / "src" / "agent_outcomes" / "semconv.py"
    assert generated.read_bytes() == (SOURCE / "semconv.py").read_bytes()
    again = _generate(checkout)
    assert (again.returncode, again.stdout) == (0, "")


def test_check_passes_without_drift(checkout: Path) -> None:
    """Checking an up-to-date checkout says nothing and exits 0."""
    result = _generate(checkout, "--check")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("name", [SEMCONV_FILE, REFERENCE_FILE, "README.md"])
def test_check_names_an_edited_file(checkout: Path, name: str) -> None:
    """An edit inside a generated part is drift: exit 1, the file is named and left as it is."""
    target = checkout / name
    edited = target.read_text(encoding="utf-8").replace("agent.outcome.label", "agent.outcome.tag")
    target.write_text(edited, encoding="utf-8")
    result = _generate(checkout, "--check")
    assert result.returncode == 1
    assert [line.split()[0] for line in result.stdout.splitlines()] == [name]
    assert target.read_text(encoding="utf-8") == edited


def test_check_names_every_drifted_file(checkout: Path) -> None:
    """A change of the registry alone is drift of every generated file."""
    registry = checkout / "src" / "agent_outcomes" / "registry" / "attributes.yaml"
    text = registry.read_text(encoding="utf-8")
    registry.write_text(text.replace("How the run ended technically.", "How it ended."), encoding="utf-8")
    result = _generate(checkout, "--check")
    assert result.returncode == 1
    assert [line.split()[0] for line in result.stdout.splitlines()] == [SEMCONV_FILE, REFERENCE_FILE, "README.md"]


def test_undefined_attribute_stops_the_generator(checkout: Path) -> None:
    """A reference to nothing is named and nothing is written."""
    registry = checkout / "src" / "agent_outcomes" / "registry" / "metrics.yaml"
    text = registry.read_text(encoding="utf-8").replace("ref: agent.outcome.job_type", "ref: agent.outcome.jobs")
    registry.write_text(text, encoding="utf-8")
    result = _generate(checkout)
    assert (result.returncode, result.stdout) == (UNUSABLE, "")
    assert "undefined attributes: ['agent.outcome.jobs']" in result.stderr


def test_text_around_the_tables_is_kept(checkout: Path) -> None:
    """Only what is between the markers belongs to the generator."""
    readme = checkout / REFERENCE_FILE
    readme.write_text(f"# Title\n\n{_marked(*TABLES)}\nThe end.\n", encoding="utf-8")
    assert _generate(checkout).stdout.split() == [REFERENCE_FILE, "written"]
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("# Title\n\n<!-- generated:read -->\n| attribute |")
    assert text.endswith("<!-- /generated:problems -->\n\nThe end.\n")
    assert "old" not in text.splitlines()


@pytest.mark.parametrize(("name", "first"), [(REFERENCE_FILE, "read"), ("README.md", "common")])
def test_missing_marker_is_named(checkout: Path, name: str, first: str) -> None:
    """A README without the markers is an error that says which ones it needs."""
    (checkout / name).write_text("nothing here\n", encoding="utf-8")
    result = _generate(checkout, "--check")
    assert result.returncode == UNUSABLE
    assert f"{name} needs the markers <!-- generated:{first} -->" in result.stderr


def test_readme_tables_list_the_vocabulary(checkout: Path) -> None:
    """The tables hold every attribute read, of the events and every instrument, and each word of a drop or problem."""
    text = (checkout / REFERENCE_FILE).read_text(encoding="utf-8")
    text += (checkout / "README.md").read_text(encoding="utf-8")
    sections = {name: text.split(f"<!-- generated:{name} -->")[1].split("<!--")[0] for name in (*TABLES, "common")}
    first_cells = {
        name: [line.split("|")[1].strip().split("`")[1] for line in section.strip().splitlines()[2:]]
        for name, section in sections.items()
    }
    assert set(first_cells["read"]) == (semconv.READ_ATTRIBUTES - {"agent.outcome"}) | semconv.COST_ATTRIBUTES
    assert first_cells["event"] == [entry["ref"] for entry in EVENTS[0]["attributes"]]
    assert first_cells["handoff"] == [entry["ref"] for entry in EVENTS[1]["attributes"]]
    assert first_cells["metrics"] + first_cells["health"] + first_cells["ledger"] == list(INSTRUMENTS)
    assert first_cells["reasons"] == list(semconv.DropReason)
    assert first_cells["dead"] == list(semconv.DeadReason)
    assert first_cells["problems"] == list(semconv.ProblemKind)
    assert set(first_cells["common"]) < set(first_cells["read"])
