# SPDX-License-Identifier: Apache-2.0
"""What can be said of the spans of one instrumentation scope, and how one is read by it; the rows are in `scopes`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.run.conventions import (
    AGENT_NAME_KEYS,
    CONVENTION_NAME_KEYS,
    DEFAULT_NAMES,
    GENAI_KIND,
    LANGFUSE_KIND,
    MLFLOW_KIND,
    NAME_PREFIX,
    NAME_SUFFIX,
    OPENINFERENCE_KIND,
    OPERATION,
    TRACEAI_KIND,
    UNNAMED,
    Role,
    is_agent_by_name,
    is_generated_name,
    role_by_marks,
    role_of_word,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.run.graphs import GraphMetadata
    from agent_outcomes.run.pauses import PauseMark

# On CPython 3.11 a member that is looked up in its enum costs as much as a call of a function.
_MODEL: Final = Role.MODEL
# These have a kind for every span; what says nothing of itself is a chain, and a tool or a model call is no root.
ROOT_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    OPENINFERENCE_KIND: ("AGENT", "CHAIN"),
    LANGFUSE_KIND: ("agent", "chain", "span"),
    GENAI_KIND: ("AGENT", "CHAIN", "agent", "chain", "workflow"),
    TRACEAI_KIND: ("AGENT", "CHAIN"),
    MLFLOW_KIND: ('"AGENT"', '"CHAIN"', '"UNKNOWN"', '"WORKFLOW"'),
}
GENAI_SCOPE: Final = Pattern(
    r"""(?:
      openinference\.
    | traceloop
    | opentelemetry\.(?:util|instrumentation)\.genai
    | opentelemetry\.instrumentation\.(?:
        ag2|agno|alephalpha|anthropic|bedrock|cohere|crewai|google_genai|google_generativeai|groq|haystack|langchain
      | llamaindex|mcp|mistralai|ollama|openai|replicate|sagemaker|smolagents|together|transformers|vertexai|watsonx
      | writer|claude)
    | pydantic[-_]ai
    | strands\.
    | gcp\.vertex\.agent | agent_framework | @arizeai/openinference | autogen | crewai | semantic_kernel
    | langfuse | langsmith | openlit\. | logfire\.openai_agents | smolagents | genkit | traceai_
    )""",
    re.VERBOSE,
)
OPENINFERENCE_SCOPE: Final = Pattern(r"openinference\.|@arizeai/")
"""Instrumentations that write OpenInference's words themselves."""
_NO_NAMES: Final[Mapping[str, Role]] = {}


class StopEvent(NamedTuple):
    """The event of a span that says why the run stopped.

    `reason_key` is the attribute with the reason; `None` where the event's name says it all.
    """

    name: str
    reason_key: str | None


class OwnKinds(NamedTuple):
    """The attribute in which an instrumentation says in its own words what a span is, believed before any mark."""

    key: str
    roles: Mapping[object, Role]


class Disproof(NamedTuple):
    """What shows that a span which is marked as a tool's is none: what `key` says, unless it has one of `unless`."""

    key: str
    value: Pattern
    unless: frozenset[str]

    def found_in(self, attributes: Mapping[str, Any]) -> bool:
        """Whether a span with these attributes is no tool."""
        text = attributes.get(self.key)
        if not isinstance(text, str) or self.value.fullmatch(str.__str__(text)) is None:
            return False
        return all(_is_nothing(attributes.get(key)) for key in self.unless)


class ScopeRules(NamedTuple):
    """How the spans of one instrumentation scope are to be read, beside their marks.

    - `roots`: names of runs' root spans that carry no agent mark of their own;
    - `not_roots`: names among these that are the framework's own steps;
    - `root_operations`: operation names that only such roots have;
    - `root_keys`: attributes that only such roots have, whatever they say;
    - `name_roles`: what the spans that carry no mark at all stand for, by name;
    - `own_kinds`: what a span is in the instrumentation's own words, where its marks say less;
    - `graph`: where a LangGraph callback's metadata stand, which tell a graph from its nodes;
    - `answered_keys`: of what those of `name_roles` that are model calls have one once the model has answered;
    - `mismarked`: names of spans whose marks are not to be believed;
    - `no_tools`: what shows that a span which is marked as a tool's is none;
    - `calls_beside`: what an agent's span has called is traced beside it, not below it;
    - `name_keys`: attributes that name the agent, after those of the conventions;
    - `misnamed_keys`: attributes of the conventions that hold something else than the agent's name;
    - `named_by`: a span's name with the agent's in its first group;
    - `unnamed_roots`: root names that say nothing of the agent;
    - `named_below`: root names of which the agent is named on the agent span below only;
    - `stop_event`: where a span says why its run stopped;
    - `unset_is_cancelled`: a span that went well is set to OK, and one that somebody stopped is left UNSET;
    - `ends_clean`: a failed run's root may end UNSET or OK;
    - `records_failures`: an exception recorded on a span that ended OK is what ended it;
    - `fails_with_last_agent`: in a run that ended clean nothing gets over the failure of its last agent;
    - `fails_with_last_call`: so it is with a model call that failed and that nothing followed;
    - `fails_with_last_step`: so it is with any step that failed, in a run that came to no answer;
    - `records_pauses`: a pause for a human is recorded on the step that asked, and the agent's span ends clean;
    - `pause_marks`: attributes by which a step says that it asked, after `STEP_MARK`;
    - `pause_relays`: names of spans that only hold the steps of one turn together, so that what right below them asked
      did so for the span above;
    - `pauses_with_last_agent`: the root of several agents ends clean when the last of them has asked;
    - `turns_late`: a span may turn out to be an agent as it ends, whatever it is marked as until then;
    - `leaves_failed_open`: a failed run's span is marked ERROR and then neither ended nor taken off the context;
    - `books`: names of spans on which the usage of calls that are traced beside them is booked once more;
    - `replies`: names of records of a streamed reply, with what the call has used whose span ended as the reply began;
    - `has_lifetime_totals`: agent spans report the tokens of the agent object's whole life, earlier runs included;
    - `lifetime_totals`: names of further spans that do;
    - `sums_own_calls`: agent spans report the tokens of all the agent's own calls, of which a span below may tell of
      the last one only;
    - `is_genai`: a span may still be marked as an agent before it ends.
    """

    roots: Pattern | None = None
    not_roots: Pattern | None = None
    root_operations: frozenset[str] = frozenset()
    root_keys: frozenset[str] = frozenset()
    name_roles: Mapping[str, Role] = _NO_NAMES
    own_kinds: OwnKinds | None = None
    answered_keys: frozenset[str] = frozenset()
    graph: GraphMetadata | None = None
    mismarked: Pattern | None = None
    no_tools: Disproof | None = None
    calls_beside: bool = False
    name_keys: tuple[str, ...] = ()
    misnamed_keys: frozenset[str] = frozenset()
    named_by: Pattern | None = None
    unnamed_roots: frozenset[str] = frozenset()
    named_below: frozenset[str] = frozenset()
    stop_event: StopEvent | None = None
    unset_is_cancelled: bool = False
    ends_clean: bool = False
    records_failures: bool = False
    fails_with_last_agent: bool = False
    fails_with_last_call: bool = False
    fails_with_last_step: bool = False
    records_pauses: bool = False
    pause_marks: tuple[PauseMark, ...] = ()
    pause_relays: frozenset[str] = frozenset()
    pauses_with_last_agent: bool = False
    turns_late: bool = False
    leaves_failed_open: bool = False
    books: Pattern | None = None
    replies: Pattern | None = None
    has_lifetime_totals: bool = False
    lifetime_totals: Pattern | None = None
    sums_own_calls: bool = False
    is_genai: bool = True

    def role_of(self, attributes: Mapping[str, Any], name: str) -> Role:
        """What a span of this name is in a run: by its marks, unless they are known to be wrong or missing."""
        if self.mismarked is not None and self.mismarked.fullmatch(name):
            return Role.OTHER
        role = self._own_role(attributes) or role_by_marks(attributes)
        if (role is None or role is _MODEL) and self._is_named_agent(attributes, name):
            return Role.AGENT
        if self.graph is not None and role is not _MODEL and role is not Role.TOOL:
            role = self.graph.role_of(attributes, name, role)
        if role is Role.TOOL and self.no_tools is not None and self.no_tools.found_in(attributes):
            return Role.OTHER
        return role or self.name_roles.get(name, Role.OTHER)

    def is_unanswered(self, attributes: Mapping[str, Any], name: str) -> bool:
        """Whether the span of a model call of this name says that no answer came, which is all it says."""
        if not self.answered_keys or self.name_roles.get(name) is not _MODEL:
            return False
        return self.answered_keys.isdisjoint(attributes)

    def is_root(self, attributes: Mapping[str, Any], name: str) -> bool:
        """Whether span name, operation or another attribute are those of a root without an agent mark."""
        if self._is_root_name(name):
            kinds = [(attributes.get(key), words) for key, words in ROOT_KINDS.items()]
            return all(kind is None or kind in words for kind, words in kinds)
        if self.root_keys and not self.root_keys.isdisjoint(attributes):
            return True
        operation = attributes.get(OPERATION)
        return isinstance(operation, str) and operation in self.root_operations

    def overrules_marks(self, name: str) -> bool:
        """Whether a span of this name may not be what its marks say."""
        if self.own_kinds is not None or is_agent_by_name(name):
            return True
        return self._is_root_name(name) or bool(self.mismarked is not None and self.mismarked.fullmatch(name))

    @property
    def reads_more_than_attributes(self) -> bool:
        """Whether a span's name or its events may decide what it is, or what its end says."""
        named = self.roots or self.name_roles or self.mismarked or self.own_kinds
        pauses = self.records_pauses or self.pause_marks or self.pause_relays
        return bool(named or self.root_operations or self.root_keys or pauses)

    def stopped_by(self, status_code: str) -> str | None:
        """Why a span with this status has stopped, in the word of an event that says so, if the status tells."""
        return "cancelled" if self.unset_is_cancelled and status_code == "unset" else None

    def has_lifetime_total(self, role: Role, name: str) -> bool:
        """Whether the tokens on a span of this role and name are those of an object's whole life."""
        if role is Role.AGENT and self.has_lifetime_totals:
            return True
        return self.lifetime_totals is not None and self.lifetime_totals.fullmatch(name) is not None

    def agent_name_keys(self) -> tuple[str, ...]:
        """The attributes that name the agent, best first."""
        keys = (*AGENT_NAME_KEYS, *self.name_keys) if self.name_keys else AGENT_NAME_KEYS
        return tuple(key for key in keys if key not in self.misnamed_keys) if self.misnamed_keys else keys

    def agent_name_in(self, name: str) -> str | None:
        """The agent's name within a span name such as `invoke_agent X` or `X.workflow`; `None` if nothing is left."""
        if name in UNNAMED or name in self.root_operations or name in self.unnamed_roots:
            return None
        found = self.named_by.fullmatch(name) if self.named_by is not None else None
        rest = found[1] if found is not None else NAME_SUFFIX.sub("", NAME_PREFIX.sub("", name, count=1))
        rest = rest.strip()
        return None if not rest or is_generated_name(rest) else rest

    def is_named_below(self, name: str) -> bool:
        """Whether the agent that a root of this name runs is named on the agent span below it and nowhere else."""
        return name in self.named_below or self.agent_name_in(name) in DEFAULT_NAMES

    def _own_role(self, attributes: Mapping[str, Any]) -> Role | None:
        own = self.own_kinds
        return None if own is None else role_of_word(own.roles, attributes.get(own.key))

    def _is_named_agent(self, attributes: Mapping[str, Any], name: str) -> bool:
        # In the scope of an application a name alone is what somebody has chosen.
        return is_agent_by_name(name) and (self.is_genai or not CONVENTION_NAME_KEYS.isdisjoint(attributes))

    def _is_root_name(self, name: str) -> bool:
        if self.roots is None or not self.roots.fullmatch(name):
            return False
        return self.not_roots is None or not self.not_roots.fullmatch(name)


def _is_nothing(value: object) -> bool:
    # MLflow writes JSON.
    return value is None or (isinstance(value, str) and str.__str__(value) == "null")
