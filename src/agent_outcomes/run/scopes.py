# SPDX-License-Identifier: Apache-2.0
"""What single frameworks do in their own way, one row for each instrumentation scope.

Read from what the frameworks and their instrumentations emit. A scope without a row is a GenAI instrumentation that
keeps to the conventions, or plain code of an application.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.run.conventions import (
    AGENT_NAME_KEYS,
    DEFAULT_NAMES,
    NAME_PREFIX,
    NAME_SUFFIX,
    OPERATION,
    UNNAMED,
    Role,
    is_generated_name,
    role_by_marks,
)
from agent_outcomes.run.parts import COPYING_SCOPES
from agent_outcomes.semconv import SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

_FAMILIES_MAX: Final = 256
_NO_NAMES: Final[Mapping[str, Role]] = {}


class StopEvent(NamedTuple):
    """The event of a span that says why the run stopped.

    `reason_key` is the attribute with the reason; `None` where the event's name says it all.
    """

    name: str
    reason_key: str | None


class ScopeRules(NamedTuple):
    """How the spans of one instrumentation scope are to be read, beside their marks.

    - `roots`: names of runs' root spans that carry no agent mark of their own;
    - `root_operations`: operation names that only such roots have;
    - `name_roles`: what the spans that carry no mark at all stand for, by name;
    - `mismarked`: names of spans whose marks are not to be believed;
    - `name_keys`: attributes that name the agent, after those of the conventions;
    - `unnamed_roots`: root names that say nothing of the agent;
    - `named_below`: root names of which the agent is named on the agent span below only;
    - `stop_event`: where a span says why its run stopped;
    - `ends_clean`: a failed run's root may end UNSET or OK;
    - `records_failures`: an exception recorded on a span that ended OK is what ended it;
    - `fails_with_last_agent`: in a run that ended clean nothing gets over the failure of its last agent;
    - `fails_with_last_call`: so it is with a model call that failed and that nothing followed;
    - `records_pauses`: a pause for a human is recorded on the step that asked, and the agent's span ends clean;
    - `leaves_failed_open`: a failed run's span is marked ERROR and then neither ended nor taken off the context;
    - `has_lifetime_totals`: agent spans report the tokens of the agent object's whole life, earlier runs included;
    - `is_genai`: a span may still be marked as an agent before it ends.
    """

    roots: Pattern | None = None
    root_operations: frozenset[str] = frozenset()
    name_roles: Mapping[str, Role] = _NO_NAMES
    mismarked: Pattern | None = None
    name_keys: tuple[str, ...] = ()
    unnamed_roots: frozenset[str] = frozenset()
    named_below: frozenset[str] = frozenset()
    stop_event: StopEvent | None = None
    ends_clean: bool = False
    records_failures: bool = False
    fails_with_last_agent: bool = False
    fails_with_last_call: bool = False
    records_pauses: bool = False
    leaves_failed_open: bool = False
    has_lifetime_totals: bool = False
    is_genai: bool = True

    def role_of(self, attributes: Mapping[str, Any], name: str) -> Role:
        """What a span of this name is in a run: by its marks, unless they are known to be wrong or missing."""
        if self.mismarked is not None and self.mismarked.fullmatch(name):
            return Role.OTHER
        return role_by_marks(attributes) or self.name_roles.get(name, Role.OTHER)

    def is_root(self, attributes: Mapping[str, Any], name: str) -> bool:
        """Whether span name or operation are those of a root without an agent mark."""
        if self.roots is not None and self.roots.fullmatch(name):
            return True
        operation = attributes.get(OPERATION)
        return isinstance(operation, str) and operation in self.root_operations

    def overrules_marks(self, name: str) -> bool:
        """Whether a span of this name is not what its marks say."""
        is_root = self.roots is not None and self.roots.fullmatch(name)
        return bool(is_root or (self.mismarked is not None and self.mismarked.fullmatch(name)))

    @property
    def reads_more_than_attributes(self) -> bool:
        """Whether a span's name or its events may decide what it is, or what its end says."""
        return bool(self.roots or self.root_operations or self.name_roles or self.mismarked or self.records_pauses)

    def agent_name_keys(self) -> tuple[str, ...]:
        """The attributes that name the agent, best first."""
        return (*AGENT_NAME_KEYS, *self.name_keys) if self.name_keys else AGENT_NAME_KEYS

    def agent_name_in(self, name: str) -> str | None:
        """The agent's name within a span name such as `invoke_agent X` or `X.workflow`; `None` if nothing is left."""
        if name in UNNAMED or name in self.root_operations or name in self.unnamed_roots:
            return None
        rest = NAME_SUFFIX.sub("", NAME_PREFIX.sub("", name, count=1)).strip()
        return None if not rest or is_generated_name(rest) else rest

    def is_named_below(self, name: str) -> bool:
        """Whether the agent that a root of this name runs is named on the agent span below it and nowhere else."""
        return name in self.named_below or self.agent_name_in(name) in DEFAULT_NAMES


SCOPES: Final[Mapping[str, ScopeRules]] = {
    # Sets no operation on a workflow, and calls all of them alike.
    "agent_framework": ScopeRules(
        roots=Pattern(r"workflow\.run"),
        name_keys=("workflow.name",),
        unnamed_roots=frozenset({"workflow.run"}),
    ),
    # Overwrites the operation of a failed agent or task with that of the model call that failed, and makes a second
    # span for a tool that failed.
    "crewai": ScopeRules(
        roots=Pattern(r"execute (?:crew|flow|agent|lite agent)"),
        mismarked=Pattern(r"execute .+|tool failure"),
    ),
    # ADK's first schema sets no operation on its root, and names the agent on the agent span below only.
    "gcp.vertex.agent": ScopeRules(
        roots=Pattern(r"invocation"),
        unnamed_roots=frozenset({"invocation"}),
        named_below=frozenset({"invocation"}),
    ),
    "genkit-tracer": ScopeRules(unnamed_roots=frozenset({"generate"})),
    # Logfire names spans by the template of its message.
    "logfire.openai_agents": ScopeRules(
        name_roles={
            "OpenAI Agents trace: {name}": Role.AGENT,
            "Agent run: {name!r}": Role.AGENT,
            "Chat completion with {gen_ai.request.model!r}": Role.MODEL,
            "Responses API": Role.MODEL,
            "Responses API with {gen_ai.request.model!r}": Role.MODEL,
            "Function: {name}": Role.TOOL,
        },
        name_keys=("name",),
        ends_clean=True,
        fails_with_last_agent=True,
        fails_with_last_call=True,
    ),
    # Sets OK when a stream begins, which nothing can take back when it fails, and records what it failed of.
    "openinference.instrumentation.autogen_agentchat": ScopeRules(ends_clean=True, records_failures=True),
    # Sets OK as it leaves, whatever is being raised just then.
    "openinference.instrumentation.claude_agent_sdk": ScopeRules(ends_clean=True),
    "openinference.instrumentation.crewai": ScopeRules(roots=Pattern(r".+\.kickoff")),
    # A graph without "agent" in its name is a CHAIN.
    "openinference.instrumentation.langchain": ScopeRules(roots=Pattern(r"LangGraph"), records_pauses=True),
    # Has no agent span. What it does before it calls the model is marked as a model call, too.
    "openinference.instrumentation.llama_index": ScopeRules(
        roots=Pattern(r"\w*(?:Agent|Workflow)\.run"),
        mismarked=Pattern(r".+\._prepare_chat_with_tools"),
        stop_event=StopEvent("span.cancelled", None),
    ),
    # Forces the root of a run that streams to OK.
    "openinference.instrumentation.smolagents": ScopeRules(ends_clean=True, leaves_failed_open=True),
    "opentelemetry.instrumentation.langchain": ScopeRules(records_pauses=True),
    # Agno returns a run that failed of its model as any other, with `status` set to error, which these do not look at.
    # It calls the model again, or another one, where it has not given up, so that the last call tells.
    "opentelemetry.instrumentation.agno": ScopeRules(fails_with_last_call=True),
    "opentelemetry.instrumentation.genai.agno": ScopeRules(fails_with_last_call=True),
    "strands.telemetry.tracer": ScopeRules(
        root_operations=frozenset({"invoke_graph", "invoke_swarm"}),
        stop_event=StopEvent("gen_ai.choice", "finish_reason"),
        has_lifetime_totals=True,
    ),
}

_GENAI_SCOPE: Final = Pattern(
    r"""(?:
      openinference\.
    | traceloop
    | opentelemetry\.(?:util|instrumentation)\.genai
    | opentelemetry\.instrumentation\.(?:
        agno|alephalpha|anthropic|bedrock|cohere|crewai|google_genai|google_generativeai|groq|haystack|langchain
      | llamaindex|mcp|mistralai|ollama|openai|replicate|sagemaker|smolagents|together|transformers|vertexai|watsonx
      | writer|claude)
    | pydantic[-_]ai
    | strands\.
    | gcp\.vertex\.agent
    | agent_framework
    | autogen
    | crewai
    | semantic_kernel
    | langfuse
    | logfire\.openai_agents
    | haystack
    | smolagents
    | genkit
    )""",
    re.VERBOSE,
)
# Every instrumentation of the OpenAI Agents SDK, as its tracing tells none of them that a run has failed.
_OPENAI_AGENTS_SCOPE: Final = Pattern(r".*openai[_.-]agents")

_PLAIN: Final = ScopeRules(is_genai=False)
_GENAI: Final = ScopeRules()
_OPENAI_AGENTS: Final = ScopeRules(ends_clean=True, fails_with_last_agent=True, fails_with_last_call=True)

# What is asked for every span of an application is asked of sets.
LEAVES_FAILED_OPEN: Final = frozenset(scope for scope, rules in SCOPES.items() if rules.leaves_failed_open)
SPECIAL_SCOPES: Final = frozenset(
    {SCOPE_NAME, *COPYING_SCOPES, *(scope for scope, rules in SCOPES.items() if rules.reads_more_than_attributes)}
)
"""Scopes of which more than its attributes may decide what a span is, or what its end says."""


def rules_of(scope: str) -> ScopeRules:
    """The rules for spans of this instrumentation scope; one look-up answers all that is asked of a span."""
    rules = SCOPES.get(scope)
    return rules if rules is not None else _rules_of_family(scope)


@lru_cache(maxsize=_FAMILIES_MAX)
def _rules_of_family(scope: Hashable) -> ScopeRules:
    # The SDK takes any object for a scope's name, and whatever is no text names no instrumentation.
    if not isinstance(scope, str):
        return _PLAIN
    is_genai = _GENAI_SCOPE.match(scope) is not None
    if _OPENAI_AGENTS_SCOPE.match(scope):
        return _OPENAI_AGENTS._replace(is_genai=is_genai)
    return _GENAI if is_genai else _PLAIN
