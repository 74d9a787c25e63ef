# SPDX-License-Identifier: Apache-2.0
"""What single frameworks do in their own way, one row for each instrumentation scope.

Read from what the frameworks and their instrumentations emit. A scope without a row is a GenAI instrumentation that
keeps to the conventions, or plain code of an application. A row goes by what the framework writes: its own words, its
own classes, and how what it writes hangs together; never by a name that its user has chosen.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.run.conventions import MLFLOW_FUNCTION, MLFLOW_INPUTS, MLFLOW_OUTPUTS, Role
from agent_outcomes.run.graphs import GraphMetadata
from agent_outcomes.run.native_scopes import NATIVE_SCOPES
from agent_outcomes.run.pauses import CONFIRMATION, PauseMark
from agent_outcomes.run.scope_rules import GENAI_SCOPE, Disproof, OwnKinds, ScopeRules, StopEvent
from agent_outcomes.run.usage_keys import TOKEN_KEYS
from agent_outcomes.run.writers import MISCOUNTS, WRITING_SCOPES
from agent_outcomes.semconv import SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

_FAMILIES_MAX: Final = 256
_SCOPES_MAX: Final = 1_000

# OpenInference's callback, in Python and in JavaScript. A graph is a CHAIN, unless "agent" is in its name. Without
# the metadata of LangGraph 1 only one that nobody named is known. Sets all that as the span ends.
_LANGCHAIN_CALLBACK: Final = ScopeRules(
    roots=Pattern(r"LangGraph"), graph=GraphMetadata("metadata"), records_pauses=True, turns_late=True
)
# What ADK says of all answers of one turn together is no call of a tool, and it calls several at once the more.
_MERGED_TOOLS: Final = Pattern(r"execute_tool \(merged(?: tools)?\)")
# Of models' clients alone. Makes a log of a streamed reply, with the marks of the call that it ends.
_LOGFIRE_CLIENT: Final = ScopeRules(
    own_kinds=OwnKinds("logfire.span_type", {"log": Role.OTHER}),
    replies=Pattern(r"streaming response from .+"),
    is_genai=False,
)

SCOPES: Final[Mapping[str, ScopeRules]] = {
    **NATIVE_SCOPES,
    # An event of what was called makes a span of its own: that it began, that it is tried again, how it ended. The
    # agent's own span is called as all are, and names the class of what it ran.
    "@arizeai/openinference-instrumentation-beeai": ScopeRules(
        mismarked=Pattern(r"agent\..+-\d+|.+\.(?!success-|error-)\w+-\d+"),
        name_keys=("source",),
        unnamed_roots=frozenset({"beeai-framework-main"}),
    ),
    "@arizeai/openinference-tanstack-ai": ScopeRules(unnamed_roots=frozenset({"ai.chat"})),
    # The exporter of Mastra 1.0. Its spans are servers', of which a name is no agent's.
    "@mastra/otel": ScopeRules(name_keys=("agent.id", "workflow.id"), is_genai=False),
    # Starts every span without its parent, and has every chain for an agent or a workflow, LangChain's own steps too.
    "@traceloop/instrumentation-langchain": ScopeRules(
        mismarked=Pattern(
            r"(?:invoke_agent|workflow) "
            r"(?:Runnable\w+|Channel(?:Write|Read).*|Branch<.+|__\w+__|agent|tools|model_request|unknown"
            r"|\w+(?:OutputParser|PromptTemplate))"
        ),
        named_by=Pattern(r"(?:invoke_agent|workflow) (.+)"),
        calls_beside=True,
        is_genai=False,
    ),
    # In .NET. A session is all that a workflow is asked to do, one time after another.
    "Microsoft.Agents.AI.Workflows": ScopeRules(
        roots=Pattern(r"workflow_invoke|workflow\.run"),
        name_keys=("workflow.name",),
        unnamed_roots=frozenset({"workflow_invoke", "workflow.run"}),
        is_genai=False,
    ),
    # Sets no operation on a workflow, and calls all of them alike.
    "agent_framework": ScopeRules(
        roots=Pattern(r"workflow\.run"),
        name_keys=("workflow.name",),
        unnamed_roots=frozenset({"workflow.run"}),
        records_pauses=True,
    ),
    # Marks its spans as they start, so that none of them need be waited for.
    "agentops": ScopeRules(is_genai=False),
    # Marks the crew by its class, which need not be the framework's. Sets on the span of each call, and on the crew's,
    # what CrewAI's counter of the agent's tokens has come to.
    "agentops.instrumentation.agentic.crewai": ScopeRules(
        roots=Pattern(r"crewai\.workflow"),
        unnamed_roots=frozenset({"crewai.workflow"}),
        has_lifetime_totals=True,
        lifetime_totals=Pattern(r".+\.llm|crewai\.workflow"),
        is_genai=False,
    ),
    # Of the Claude API itself (its "OpenTelemetry span reference", on a span's status).
    "com.anthropic.claude-platform": ScopeRules(unset_is_cancelled=True, is_genai=False),
    # Claude Code's own, which sets no status. A prompt ends when its last request has failed, after it has tried again.
    "com.anthropic.claude_code.tracing": ScopeRules(
        own_kinds=OwnKinds("span.type", {"interaction": Role.AGENT, "llm_request": Role.MODEL, "tool": Role.TOOL}),
        unnamed_roots=frozenset({"claude_code.interaction"}),
        fails_with_last_call=True,
        is_genai=False,
    ),
    # In Java: records what failed and leaves the span UNSET.
    "agentscope-java": ScopeRules(records_failures=True, is_genai=False),
    # Overwrites the operation of a failed agent or task with that of the model call that failed, and makes a second
    # span for a tool that failed.
    "crewai": ScopeRules(
        roots=Pattern(r"execute (?:crew|flow|agent|lite agent)"),
        mismarked=Pattern(r"execute .+|tool failure"),
    ),
    # ADK's first schema sets no operation on its root nor on its model calls, and names the agent on the agent span
    # below only. In JavaScript it makes an event of what a model call failed of, sets no status, and ends the run well;
    # what a call's span has it has of the answer (`traceCallLlm`).
    "gcp.vertex.agent": ScopeRules(
        roots=Pattern(r"invocation|agent_run \[.+\]"),
        name_roles={"call_llm": Role.MODEL},
        answered_keys=frozenset({"gen_ai.request.model", "gcp.vertex.agent.llm_response", *TOKEN_KEYS}),
        mismarked=_MERGED_TOOLS,
        named_by=Pattern(r"agent_run \[(.+)\]"),
        unnamed_roots=frozenset({"invocation"}),
        named_below=frozenset({"invocation"}),
        pause_marks=(
            PauseMark("gen_ai.tool.type", Pattern(r"^LongRunningFunctionTool$")),
            # The answer of ADK itself to a call that needs a confirmation.
            PauseMark("gcp.vertex.agent.tool_response", CONFIRMATION),
            PauseMark("gen_ai.tool.call.result", CONFIRMATION),
        ),
    ),
    # Gemini CLI's own. What goes on after tools is of no prompt.
    "gemini-cli": ScopeRules(root_operations=frozenset({"user_prompt", "system_prompt", "agent_call"}), is_genai=False),
    # A flow ends with what the last of its calls has given it, be that a question.
    "genkit-tracer": ScopeRules(unnamed_roots=frozenset({"generate"}), pauses_with_last_agent=True),
    # Haystack's own. It has a tracer of this name, unless its user gives it another.
    "haystack": ScopeRules(
        roots=Pattern(r"haystack\.agent\.run"),
        name_roles={"haystack.agent.step.llm": Role.MODEL, "haystack.agent.step.tool": Role.TOOL},
        unnamed_roots=frozenset({"haystack.agent.run"}),
        is_genai=False,
    ),
    # The callback's metadata again, and in Python its word for what has "agent" in its name, nodes too. Sets all that
    # as the span starts.
    "langfuse-sdk": ScopeRules(
        roots=Pattern(r"LangGraph"),
        graph=GraphMetadata("langfuse.observation.metadata.", is_flat=True),
        # What a graph's step asked, as a message of no error, and in JavaScript of one.
        pause_marks=(
            PauseMark(
                "langfuse.observation.status_message",
                Pattern(r"^\(Interrupt\(value=|^(?:Graph|Node)Interrupt(?=: \[|$)"),
            ),
        ),
    ),
    # Marks prompts and retrievers as calls of models, in the words of the conventions but not in its own.
    "langsmith": ScopeRules(
        roots=Pattern(r"LangGraph"),
        own_kinds=OwnKinds(
            "langsmith.span.kind",
            {
                "llm": Role.MODEL,
                "embedding": Role.MODEL,
                "tool": Role.TOOL,
                "prompt": Role.OTHER,
                "retriever": Role.OTHER,
            },
        ),
        graph=GraphMetadata("langsmith.metadata.", is_flat=True),
        records_pauses=True,
        turns_late=True,
    ),
    **dict.fromkeys(("logfire.anthropic", "logfire.openai"), _LOGFIRE_CLIENT),
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
    # Sets OK as it leaves, whatever is being raised just then.
    "openinference.instrumentation.claude_agent_sdk": ScopeRules(ends_clean=True),
    # A workflow is a CHAIN, and so are its steps, which are executed.
    "openinference.instrumentation.agno": ScopeRules(
        roots=Pattern(r".+\.(?:a?run|_aexecute(?:_stream)?)"),
        named_by=Pattern(r"(.+)\.(?:a?run|_aexecute(?:_stream)?)"),
    ),
    # Calls every run of an agent alike, which has an id and no name there.
    "openinference.instrumentation.bedrock": ScopeRules(unnamed_roots=frozenset({"bedrock_agent.invoke_agent"})),
    "openinference.instrumentation.crewai": ScopeRules(roots=Pattern(r".+\.kickoff")),
    # Agents are marked, by `X.on_messages_stream`; a team is a CHAIN. Sets OK when a stream begins, which nothing can
    # take back when it fails, and records what it failed of.
    "openinference.instrumentation.autogen_agentchat": ScopeRules(
        roots=Pattern(r"\w+\.run_stream"),
        named_by=Pattern(r"(.+)\.(?:run_stream|on_messages_stream)"),
        ends_clean=True,
        records_failures=True,
    ),
    # Every module is a CHAIN. A program is one that is no single call of a model.
    "openinference.instrumentation.dspy": ScopeRules(
        roots=Pattern(r"\w+\.a?forward"),
        not_roots=Pattern(r"(?:Predict|ChainOfThought|MultiChainComparison|KNN|Retrieve|Embeddings)\.a?forward"),
        named_by=Pattern(r"(\w+)\.a?forward"),
        # By this tool its loop ends.
        mismarked=Pattern(r"finish\.(?:__call__|acall)"),
    ),
    "openinference.instrumentation.google_adk": ScopeRules(mismarked=_MERGED_TOOLS),
    # Every component is a CHAIN that is called by its class; the framework's own agent is one of them.
    "openinference.instrumentation.haystack": ScopeRules(
        roots=Pattern(r"Agent\.run(?:_async)?"), named_by=Pattern(r"(Agent)\.run(?:_async)?")
    ),
    # Its one call of a model is a CHAIN, and what it does around that a TOOL.
    "openinference.instrumentation.instructor": ScopeRules(
        name_roles={"instructor.create": Role.MODEL, "instructor.async_create": Role.MODEL},
        mismarked=Pattern(r"instructor\.(?:async_)?patch|(?:\w+\.)?handle_response_model"),
    ),
    "openinference.instrumentation.langchain": _LANGCHAIN_CALLBACK,
    "@arizeai/openinference-instrumentation-langchain": _LANGCHAIN_CALLBACK,
    # Has no agent span: an agent is a workflow, too. What it does before it calls the model is marked as a model call.
    # Sets all attributes as a span ends. Before workflows 2.0 one that failed is told of as one that gave nothing.
    "openinference.instrumentation.llama_index": ScopeRules(
        turns_late=True,
        fails_with_last_step=True,
        roots=Pattern(r"\w+\.run"),
        not_roots=Pattern(r"(?:IngestionPipeline|QueryPipeline)\.run"),
        mismarked=Pattern(r".+\._prepare_chat_with_tools"),
        stop_event=StopEvent("span.cancelled", None),
    ),
    # Records what a stream failed of, then sets OK. Reports smolagents' `monitor`, which `run(reset=False)` keeps.
    "openinference.instrumentation.smolagents": ScopeRules(
        ends_clean=True, records_failures=True, leaves_failed_open=True, has_lifetime_totals=True
    ),
    # Reports a crew's `token_usage`, which adds up what its agents and models have used since they were made.
    "openlit.instrumentation.crewai": ScopeRules(has_lifetime_totals=True),
    "openlit.instrumentation.langchain": ScopeRules(records_pauses=True),
    # Has the nodes of a graph for agents.
    "openlit.instrumentation.langgraph": ScopeRules(mismarked=Pattern(r"invoke_agent .+"), records_pauses=True),
    # Agno returns a run that failed of its model as any other, with `status` set to error, which these do not look at.
    # It calls the model again, or another one, where it has not given up, so that the last call tells.
    # Books every model call on a span beside it, for its own accounts.
    "opentelemetry.instrumentation.ag2": ScopeRules(books=Pattern(r"record_usage .+")),
    "opentelemetry.instrumentation.agno": ScopeRules(
        name_keys=("agno.team.name",), named_by=Pattern(r"(.+)\.(?:agent|team)"), fails_with_last_call=True
    ),
    # Calls every crew's span alike. Reports the agent's `_token_process`, which nothing resets between tasks and runs.
    "opentelemetry.instrumentation.crewai": ScopeRules(
        name_keys=("crewai.crew.name",), unnamed_roots=frozenset({"crewai.workflow"}), has_lifetime_totals=True
    ),
    "opentelemetry.instrumentation.genai.agno": ScopeRules(fails_with_last_call=True),
    "opentelemetry.instrumentation.genai.langchain": ScopeRules(records_pauses=True),
    "opentelemetry.instrumentation.langchain": ScopeRules(records_pauses=True),
    # Puts the span's own name there.
    "opentelemetry.instrumentation.llamaindex": ScopeRules(misnamed_keys=frozenset({"traceloop.entity.name"})),
    # Up to Pydantic AI 1 it marks neither agents nor tools, by default.
    "pydantic-ai": ScopeRules(
        roots=Pattern(r"agent run"),
        name_roles={"running tool": Role.TOOL, "running output function": Role.TOOL},
        name_keys=("agent_name",),
        unnamed_roots=frozenset({"agent run"}),
        records_pauses=True,
        pause_relays=frozenset({"running tools"}),
    ),
    # Qwen Code's own. A turn has no operation, nor has what is below it in its first versions.
    "qwen-code": ScopeRules(
        roots=Pattern(r"qwen-code\.interaction"),
        name_roles={"qwen-code.llm_request": Role.MODEL, "qwen-code.tool": Role.TOOL},
        unnamed_roots=frozenset({"qwen-code.interaction"}),
        is_genai=False,
    ),
    "strands.telemetry.tracer": ScopeRules(
        root_operations=frozenset({"invoke_graph", "invoke_swarm"}),
        stop_event=StopEvent("gen_ai.choice", "finish_reason"),
        pauses_with_last_agent=True,
        has_lifetime_totals=True,
    ),
    "trpc.agent.go": ScopeRules(mismarked=_MERGED_TOOLS, is_genai=False),
}

# What some frameworks call themselves on their spans, where their scope is their user's.
_STRANDS_SYSTEM: Final = "strands-agents"
_STRANDS: Final = "strands.telemetry.tracer"

# What Strands sets on every span of its. In TypeScript it takes the service's name for that of its scope.
LIFETIME_MARK: Final = "gen_ai.event.end_time"
"""A sign that an agent may report its object's whole life, where the scope does not say so."""

# Every instrumentation of the OpenAI Agents SDK, as its tracing tells none of them that a run has failed.
_OPENAI_AGENTS_SCOPE: Final = Pattern(r".*openai[_.-]agents")
# Every instrumentation of LangGraph, as its callbacks are told of an interrupt as the error of the step that asked, and
# the graph then returns: AWS' distribution's, say.
_LANGGRAPH_SCOPE: Final = Pattern(r".*instrumentation.*lang(?:chain|graph)")
# Codex names its scope after the program that it is part of: `codex_cli_rs`, `codex-app-server`, `Codex Desktop`.
_CODEX_SCOPE: Final = Pattern(r"[Cc]odex")
_MLFLOW_SCOPE: Final = Pattern(r"mlflow\.")

_PLAIN: Final = ScopeRules(is_genai=False)
_GENAI: Final = ScopeRules()
_OPENAI_AGENTS: Final = ScopeRules(ends_clean=True, fails_with_last_agent=True, fails_with_last_call=True)
_LANGGRAPH: Final = ScopeRules(records_pauses=True)
# Has a span for every task, of which a turn and a review ask the model until they are done.
_CODEX: Final = ScopeRules(
    roots=Pattern(r"session_task\.(?:turn|review)"),
    unnamed_roots=frozenset({"session_task.turn", "session_task.review"}),
    is_genai=False,
)
# Has the roots of LangGraph and of CrewAI for chains and the guardrails of the OpenAI Agents SDK for tools, and calls
# all runs of that SDK alike. Its scopes are its own modules.
_MLFLOW: Final = ScopeRules(
    roots=Pattern(r"LangGraph|\w+\.a?kickoff(?:_async)?"),
    no_tools=Disproof(
        MLFLOW_OUTPUTS,
        Pattern(r'\{"triggered": ?(?:true|false)\}'),
        unless=frozenset({MLFLOW_INPUTS, MLFLOW_FUNCTION}),
    ),
    graph=GraphMetadata("metadata"),
    name_keys=("crewai.crew.name",),
    named_by=Pattern(r"(\w+)\.a?kickoff(?:_async)?"),
    unnamed_roots=frozenset(
        {
            *("AgentRunner.run", "AgentRunner.run_streamed"),
            *("Crew.kickoff", "Crew.kickoff_async", "Crew.akickoff", "Flow.kickoff", "Flow.kickoff_async"),
        }
    ),
    named_below=frozenset({"AgentRunner.run", "AgentRunner.run_streamed"}),
    records_pauses=True,
    is_genai=False,
)
# traceAI's, which write OpenInference's spans in words of their own. A crew's counts are of its agents' whole lives.
_OPENINFERENCE: Final = "openinference.instrumentation."
_TRACEAI: Final[Mapping[str, ScopeRules]] = {
    "traceai_crewai": SCOPES[f"{_OPENINFERENCE}crewai"]._replace(lifetime_totals=Pattern(r".+\.kickoff")),
    "traceai_llamaindex": SCOPES[f"{_OPENINFERENCE}llama_index"],
    **{
        f"traceai_{name}": SCOPES[f"{_OPENINFERENCE}{name}"]
        for name in ("dspy", "haystack", "instructor", "langchain", "smolagents")
    },
}
FAMILIES: Final = (
    (_CODEX_SCOPE, _CODEX),
    (_MLFLOW_SCOPE, _MLFLOW),
    *((Pattern(f"{scope}$"), rules) for scope, rules in _TRACEAI.items()),
)
"""Instrumentations with many scopes, by how these begin."""

# What is asked for every span of an application is asked of sets.
LEAVES_FAILED_OPEN: Final = frozenset(scope for scope, rules in SCOPES.items() if rules.leaves_failed_open)
SPECIAL_SCOPES: Final = frozenset(
    {SCOPE_NAME, *(scope for scope, rules in SCOPES.items() if rules.reads_more_than_attributes)}
)
"""Scopes of which more than its attributes may decide what a span is, or what its end says."""
EXACT_SCOPES: Final = frozenset({*SPECIAL_SCOPES, *WRITING_SCOPES, *MISCOUNTS})
"""Scopes of which a call's counts alone may not say all of it."""


class _Named(dict[str, bool]):
    """Whether a span of this scope may be known by its name alone, worked out when the scope is first asked for."""

    def __missing__(self, scope: str) -> bool:
        rules = rules_of(scope)
        is_named = scope in SPECIAL_SCOPES or rules.is_genai or rules.reads_more_than_attributes
        if len(self) < _SCOPES_MAX:
            self[scope] = is_named
        return is_named


NAMED_SCOPES: Final = _Named()
"""Whether an unmarked span of a scope may be an agent by its name, for any scope."""


def stop_scope(scope: str, attributes: Mapping[str, Any]) -> str:
    """The scope by whose rules a span says why it stopped: its own, or that of the framework that it names."""
    return _STRANDS if attributes.get("gen_ai.system") == _STRANDS_SYSTEM else scope


def rules_of(scope: str) -> ScopeRules:
    """The rules for spans of this instrumentation scope; one look-up answers all that is asked of a span."""
    return SCOPES.get(scope) or _rules_of_family(scope)


@lru_cache(maxsize=_FAMILIES_MAX)
def _rules_of_family(scope: Hashable) -> ScopeRules:
    # The SDK takes any object for a scope's name, and whatever is no text names no instrumentation.
    if not isinstance(scope, str):
        return _PLAIN
    for pattern, rules in FAMILIES:
        if pattern.match(scope):
            return rules
    is_genai = GENAI_SCOPE.match(scope) is not None
    if _OPENAI_AGENTS_SCOPE.match(scope):
        return _OPENAI_AGENTS._replace(is_genai=is_genai)
    if _LANGGRAPH_SCOPE.match(scope):
        return _LANGGRAPH._replace(is_genai=is_genai)
    return _GENAI if is_genai else _PLAIN
