# SPDX-License-Identifier: Apache-2.0
"""Write `semconv.py` and the tables of the registry's README, and the short one of the project's, from the registry.

With `--check` nothing is written: the exit code is 1 and each file that has drifted is named.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COMMAND = "python tests/tools/generate_vocabulary.py"
LINE_LENGTH = 120
SEMCONV_PATH = Path("src/agent_outcomes/semconv.py")
REGISTRY_PATH = Path("src/agent_outcomes/registry")
README_PATH = Path("README.md")
REGISTRY_README_PATH = REGISTRY_PATH / "README.md"
# What most people set, in the order in which the project's README has it; all of it is in the registry's.
COMMON = (
    "agent.outcome.type",
    "agent.outcome.success",
    "agent.outcome.label",
    "agent.outcome.value",
    "agent.outcome.currency",
    "agent.outcome.cost",
    "agent.outcome.status",
    "agent.outcome.job_type",
    "agent.outcome.run_id",
    "agent.outcome.message",
)
# The events in order: each one's constant and the README's marker of its table.
EVENTS = {"agent.outcome": ("EVENT_NAME", "event"), "agent.handoff": ("HANDOFF_EVENT_NAME", "handoff")}
ENUM_ORDER = (
    "Status",
    "OutcomeType",
    "Change",
    "State",
    "Source",
    "Remedy",
    "CostKind",
    "CostSource",
    "TokenType",
    "ErrorCategory",
    "ProblemKind",
    "DropReason",
    "Signal",
    "Age",
    "DeadReason",
)
# Enums that no attribute of ours holds, but `error.type` on one metric.
REASONS = {"DropReason": "Why something was dropped.", "DeadReason": "Why an event became a dead letter."}
# ruff takes names with this word in them for passwords.
SECRET_LIKE = re.compile(r"(^|_)TOKEN($|_)")

HEADER = f'''\
# SPDX-License-Identifier: Apache-2.0
# Generated from registry/*.yaml by `{COMMAND}`; edits here are lost.
"""The vocabulary: names of attributes, the words their values are taken from, and the instruments.

An attribute's constant is its name in upper case with underscores for dots. So is an instrument's, but where an
attribute has the same name the instrument's constant ends in `_METRIC`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.words import status_value_of
'''

METHODS = {
    "Status": '''
    @classmethod
    def from_text(cls, text: str) -> Status:
        """The status that a word means, as `agent.outcome.status` is read: "approved" is success. Never raises.

        Case, blanks and joints do not matter. A word that no table has is `UNKNOWN`, as is one that leaves the status
        to the run's end ("escalated") or says that there is none yet ("running").
        """
        return cls(status_value_of(text))
''',
}
INSTRUMENT_CLASS = '''\
class InstrumentKind(StrEnum):
    """How an instrument adds up what is recorded."""

    COUNTER = "counter"
    UPDOWNCOUNTER = "updowncounter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Instrument(NamedTuple):
    """A metric: `unit` as in UCUM, `attributes` the keys of its attribute sets, `buckets` bounds in its unit."""

    name: str
    kind: InstrumentKind
    unit: str
    description: str
    attributes: tuple[str, ...]
    buckets: tuple[float, ...]
'''


class RegistryError(ValueError):
    """The registry does not say something that is needed."""


@dataclass(frozen=True, slots=True)
class Member:
    """One word of an enum: its Python name, its value and a sentence on what it means."""

    name: str
    value: str
    brief: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute; `type` is weaver's word (`string` for an enum), `notes` are its annotations."""

    name: str
    type: str
    brief: str
    notes: dict[str, Any]
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One instrument; `attributes` are names, `notes` are its annotations."""

    name: str
    kind: str
    unit: str
    brief: str
    attributes: tuple[str, ...]
    notes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """An event: its name, and its attributes with the condition under which each is present."""

    name: str
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Registry:
    """The whole vocabulary; `enums` are the words by class name, those of metrics included."""

    attributes: dict[str, Attribute]
    metrics: tuple[Metric, ...]
    events: tuple[Event, ...]
    enums: dict[str, tuple[Member, ...]]

    def sole_note(self, key: str) -> str:
        """Return the annotation that exactly one attribute has; raises `RegistryError` otherwise."""
        found = [str(attribute.notes[key]) for attribute in self.attributes.values() if key in attribute.notes]
        if len(found) != 1:
            message = f"{len(found)} attributes with the annotation {key}, expected one"
            raise RegistryError(message)
        return found[0]


def load_registry(folder: Path) -> Registry:
    """Read the three files of the registry; raises `RegistryError` (or `KeyError`) on what is missing."""
    groups = [group for stem in ("attributes", "metrics", "events") for group in _groups(folder / f"{stem}.yaml")]
    attributes: dict[str, Attribute] = {}
    for group in groups:
        if group["type"] == "attribute_group":
            attributes.update({found.name: found for found in map(_attribute, group["attributes"])})
    metrics = tuple(_metric(group) for group in groups if group["type"] == "metric")
    events = tuple(_event(group) for group in groups if group["type"] == "event")
    uses = [group.get("attributes", []) for group in groups if group["type"] != "attribute_group"]
    used = {entry["ref"] for entries in uses for entry in entries}
    if [event.name for event in events] != list(EVENTS) or not used <= set(attributes):
        message = (
            f"{len(events)} events, expected {len(EVENTS)}; undefined attributes: {sorted(used - set(attributes))}"
        )
        raise RegistryError(message)
    return Registry(attributes, metrics, events, _enums(attributes, groups))


def _groups(path: Path) -> list[dict[str, Any]]:
    loaded: dict[str, list[dict[str, Any]]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded["groups"]


def _attribute(entry: dict[str, Any]) -> Attribute:
    notes = entry.get("annotations", {})
    declared = entry["type"] if "id" in entry else notes["imported"]["type"]
    members = notes.get("members", [])
    if isinstance(declared, dict):
        members = declared["members"]
        declared = "string"
    name = entry.get("id") or entry["ref"]
    return Attribute(name, declared, _one_line(entry["brief"]), notes, _members(members))


def _metric(group: dict[str, Any]) -> Metric:
    attributes = tuple(entry["ref"] for entry in group.get("attributes", []))
    brief = _one_line(group["brief"])
    notes = group.get("annotations", {})
    return Metric(group["metric_name"], group["instrument"], group["unit"], brief, attributes, notes)


def _event(group: dict[str, Any]) -> Event:
    present = []
    for entry in group["attributes"]:
        level = entry["requirement_level"]
        present.append((entry["ref"], "always" if level == "required" else level["conditionally_required"]))
    return Event(group["name"], tuple(present))


def _enums(attributes: dict[str, Attribute], groups: list[dict[str, Any]]) -> dict[str, tuple[Member, ...]]:
    found = {each.notes["enum"]: each.members for each in attributes.values() if "enum" in each.notes}
    for group in groups:
        if group["type"] == "metric":
            for entry in group.get("attributes", []):
                notes = entry.get("annotations", {})
                if "enum" in notes:
                    found[notes["enum"]] = _members(notes["members"])
    if set(found) != set(ENUM_ORDER):
        message = f"enums {sorted(found)}, expected {sorted(ENUM_ORDER)}"
        raise RegistryError(message)
    return {name: found[name] for name in ENUM_ORDER}


def _members(entries: list[dict[str, Any]]) -> tuple[Member, ...]:
    return tuple(Member(entry["value"].upper(), entry["value"], _one_line(entry["brief"])) for entry in entries)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def constant_name(name: str) -> str:
    """Return the Python constant of an attribute or metric name."""
    return name.upper().replace(".", "_")


def instrument_name(metric: Metric, registry: Registry) -> str:
    """Return the Python constant of a metric; it has a suffix where an attribute has the same name."""
    return constant_name(metric.name) + ("_METRIC" if metric.name in registry.attributes else "")


def render_semconv(registry: Registry) -> str:
    """Return the text of `semconv.py`, formatted as ruff would format it."""
    first = "\n".join([HEADER, *_names(registry)])
    classes = [*_enum_classes(registry), INSTRUMENT_CLASS.strip()]
    last = "\n".join([*(_instrument(metric, registry) for metric in registry.metrics), "", *_sets(registry)])
    return "\n\n\n".join([first, *classes, last]) + "\n"


def _names(registry: Registry) -> list[str]:
    lines = [
        'SCOPE_NAME: Final = "agent_outcomes"',
        *(f"{EVENTS[event.name][0]}: Final = {_quoted(event.name)}" for event in registry.events),
        f"LABEL_ALIAS: Final = {_quoted(registry.sole_note('input_alias'))}",
        f"METADATA_PREFIX: Final = {_quoted(registry.sole_note('flat_input'))}",
        "",
    ]
    for attribute in registry.attributes.values():
        name = constant_name(attribute.name)
        allowed = "  # noqa: S105 - a name, not a secret" if SECRET_LIKE.search(name) else ""
        lines += [f"{name}: Final = {_quoted(attribute.name)}{allowed}", f'"""{attribute.brief}"""']
    return lines


def _enum_classes(registry: Registry) -> list[str]:
    holders = {each.notes["enum"]: each.name for each in registry.attributes.values() if "enum" in each.notes}
    blocks = []
    for name, members in registry.enums.items():
        holder = f"Values of `{holders[name]}`." if name in holders else REASONS[name]
        lines = [f"class {name}(StrEnum):", f'    """{holder}"""', ""]
        lines += [f"    {member.name} = {_quoted(member.value)}" for member in members]
        lines += METHODS.get(name, "").splitlines()
        blocks.append("\n".join(lines))
    return blocks


def _instrument(metric: Metric, registry: Registry) -> str:
    buckets = [repr(float(bound)) for bound in metric.notes.get("buckets", [])]
    lines = [
        f"{instrument_name(metric, registry)}: Final = Instrument(",
        f"    name={_quoted(metric.name)},",
        f"    kind=InstrumentKind.{metric.kind.upper()},",
        f"    unit={_quoted(metric.unit)},",
        f"    description={_quoted(metric.brief)},",
        _sequence("    attributes=(", [constant_name(name) for name in metric.attributes], "),"),
        _sequence("    buckets=(", buckets, "),"),
        ")",
    ]
    return "\n".join(lines)


def _sets(registry: Registry) -> list[str]:
    counters = [metric for metric in registry.metrics if metric.kind == "counter"]
    outcome = [instrument_name(each, registry) for each in counters if not each.notes.keys() & {"health", "ledger"}]
    health = [instrument_name(each, registry) for each in counters if each.notes.get("health")]
    ledger = [instrument_name(each, registry) for each in registry.metrics if each.notes.get("ledger")]
    read = [each.name for each in registry.attributes.values() if each.notes["direction"] in {"read", "both"}]
    outcome_read = [constant_name(name) for name in read if name.startswith("agent.outcome.")]
    cost_read = [constant_name(name) for name in read if name.startswith("agent.cost.")]
    problems = registry.enums["ProblemKind"]
    return [
        "PROBLEM_BRIEFS: Final[dict[ProblemKind, str]] = {",
        *(f"    ProblemKind.{problem.name}: {_quoted(problem.brief)}," for problem in problems),
        "}",
        '"""What each kind of problem means, as a sentence."""',
        _sequence("OUTCOME_COUNTERS: Final = (", outcome, ")"),
        _sequence("HEALTH_COUNTERS: Final = (", health, ")"),
        _sequence("LEDGER_INSTRUMENTS: Final = (", ledger, ")"),
        "",
        _sequence("READ_ATTRIBUTES: Final[frozenset[str]] = frozenset({", ["LABEL_ALIAS", *outcome_read], "})"),
        '"""What is read from a span that carries an outcome."""',
        _sequence("COST_ATTRIBUTES: Final[frozenset[str]] = frozenset({", cost_read, "})"),
        '"""What is read from any span of a run that meters a cost."""',
    ]


def _sequence(opening: str, items: list[str], closing: str) -> str:
    sole_comma = "," if len(items) == 1 and opening.endswith("=(") else ""
    line = f"{opening}{', '.join(items)}{sole_comma}{closing}"
    if len(line) <= LINE_LENGTH:
        return line
    margin = " " * (len(opening) - len(opening.lstrip()))
    if opening.endswith("({"):
        inner = "\n".join(f"{margin}        {item}," for item in items)
        return f"{opening[:-1]}\n{margin}    {{\n{inner}\n{margin}    }}\n{margin})"
    inner = "\n".join(f"{margin}    {item}," for item in items)
    return f"{opening}\n{inner}\n{margin}{closing}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def render_short_tables(registry: Registry) -> dict[str, str]:
    """Return the tables of the project's README, by the name in their markers."""
    common = (_read_row(registry.attributes[name]) for name in COMMON)
    return {"common": _table(("attribute", "type", "meaning"), common)}


def render_tables(registry: Registry) -> dict[str, str]:
    """Return the tables of the registry's README, by the name in their markers."""
    outcome = [metric for metric in registry.metrics if not metric.notes.keys() & {"health", "ledger"}]
    health = [metric for metric in registry.metrics if metric.notes.get("health")]
    ledger = [metric for metric in registry.metrics if metric.notes.get("ledger")]
    return {
        "read": _table(("attribute", "type", "meaning"), map(_read_row, _attributes_read(registry))),
        **{
            EVENTS[event.name][1]: _table(("attribute", "type", "present", "meaning"), _event_rows(event, registry))
            for event in registry.events
        },
        "metrics": _table(("metric", "kind, unit", "counts", "attributes"), map(_metric_row, outcome)),
        "health": _table(("metric", "kind, unit", "counts", "attributes"), map(_metric_row, health)),
        "reasons": _table(("reason", "meaning"), map(_word_row, registry.enums["DropReason"])),
        "ledger": _table(("metric", "kind, unit", "counts", "attributes"), map(_metric_row, ledger)),
        "dead": _table(("reason", "meaning"), map(_word_row, registry.enums["DeadReason"])),
        "problems": _table(("problem", "meaning"), map(_word_row, registry.enums["ProblemKind"])),
    }


def _attributes_read(registry: Registry) -> Iterator[Attribute]:
    for attribute in registry.attributes.values():
        if attribute.notes["direction"] != "written" and "imported" not in attribute.notes:
            yield attribute


def _read_row(attribute: Attribute) -> tuple[str, ...]:
    notes = attribute.notes
    name = f"`{attribute.name}`"
    if "flat_input" in notes:
        name += f" or `{notes['flat_input']}*`"
    if "input_alias" in notes:
        name += f" (or `{notes['input_alias']}`)"
    hidden = notes.get("written_only_members", [])
    words = ", ".join(f"`{member.value}`" for member in attribute.members if member.value not in hidden)
    return name, notes.get("read_as", attribute.type), attribute.brief + (f" One of {words}." if words else "")


def _word_row(member: Member) -> tuple[str, ...]:
    return f"`{member.value}`", member.brief


def _event_rows(event: Event, registry: Registry) -> Iterator[tuple[str, ...]]:
    for name, present in event.attributes:
        attribute = registry.attributes[name]
        yield f"`{name}`", attribute.type, present, attribute.brief


def _metric_row(metric: Metric) -> tuple[str, ...]:
    keys = ", ".join(f"`{name}`" for name in metric.attributes) or "none"
    return f"`{metric.name}`", f"{metric.kind}, {metric.unit}", metric.brief, keys


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def fill_tables(text: str, tables: dict[str, str]) -> str:
    """Return a README's text with each table between its markers; raises `RegistryError` where they are missing."""
    for name, table in tables.items():
        opening, closing = f"<!-- generated:{name} -->", f"<!-- /generated:{name} -->"
        if text.count(opening) != 1 or text.count(closing) != 1 or text.index(closing) < text.index(opening):
            message = f"needs the markers {opening} and {closing}, once each and in this order"
            raise RegistryError(message)
        before, rest = text.split(opening)
        after = rest.split(closing)[1]
        text = f"{before}{opening}\n{table}\n{closing}{after}"
    return text


def outputs(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield each generated file with the text it must have; raises `RegistryError` or `OSError`."""
    registry = load_registry(root / REGISTRY_PATH)
    yield SEMCONV_PATH, render_semconv(registry)
    for path, tables in (
        (REGISTRY_README_PATH, render_tables(registry)),
        (README_PATH, render_short_tables(registry)),
    ):
        text = (root / path).read_text(encoding="utf-8")
        try:
            yield path, fill_tables(text, tables)
        except RegistryError as error:
            message = f"{path} {error}"
            raise RegistryError(message) from error


def main(arguments: list[str] | None = None) -> int:
    """Write or check; returns the exit code: 0 all is as it must be, 1 drift, 2 registry or README unusable."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file has drifted")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="the checkout (default: this one)")
    options = parser.parse_args(arguments)
    drifted = 0
    try:
        for path, text in outputs(options.root):
            target = options.root / path
            if target.exists() and target.read_text(encoding="utf-8") == text:
                continue
            drifted += 1
            if options.check:
                print(f"{path} has drifted from the registry; run {COMMAND}")
            else:
                target.write_text(text, encoding="utf-8")
                print(f"{path} written")
    except (RegistryError, KeyError, OSError) as error:
        print(f"cannot generate: {error}", file=sys.stderr)
        return 2
    return 1 if options.check and drifted else 0


if __name__ == "__main__":
    sys.exit(main())
