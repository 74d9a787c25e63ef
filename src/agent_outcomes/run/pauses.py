# SPDX-License-Identifier: Apache-2.0
"""Which spans say that a run has stopped to wait for a human, or for whoever else is to answer a tool's call.

Such a run has no outcome yet: it goes on later, in this process or another one, and that is a run of its own. The
classes of exceptions that say so are the rows `AWAITING_HUMAN` of `ERROR_RULES`. Read from the sources of the
frameworks and their instrumentations:

- LangGraph: `GraphInterrupt` or `NodeInterrupt`, recorded on the step that asked (OpenInference, OpenLLMetry, OpenLIT)
  or as `error.type` of the tool that did (OpenTelemetry GenAI); the root ends clean. In JavaScript, and as LangSmith
  writes it, the same names stand in the message of the step's error;
- Pydantic AI: `pydantic_ai.tool.deferral.name` on the tool's span; with instrumentation versions below 5, and in 1.x,
  `ApprovalRequired` or `CallDeferred` recorded on it;
- Strands Agents: the finish reason `interrupt` of the agent's own event; a graph or swarm ends clean after it;
- Agent Framework: `UserInputRequiredException` on the tool's span;
- ADK: the tool is a `LongRunningFunctionTool`, or was answered that it requires a confirmation; then the agent ends;
- CrewAI's flows: `crewai.event_name` is `flow_paused`, or `HumanFeedbackPending` is recorded;
- Haystack: `BreakpointException` on the pipeline's span, which is resumed from its snapshot;
- AgentScope: the names of the tools that wait, on the agent's span, which ends OK;
- Genkit: the finish reason `interrupted` of what calls models and tools in turn; the flow above it ends clean after it;
- LangGraph under Langfuse's callback: the interrupt's own text as a message of no error, on the step that asked, and
  in JavaScript as that of an error;
- Mastra: `mastra.workflow_run.status` is `suspended` (older exporters: `workflow.status`).

Nothing on the spans tells a pause from an end for: LangGraph under OpenTelemetry GenAI when a node and no tool asks;
the OpenAI Agents SDK (a tool that waits for an approval has an ordinary span); Agent Framework's `request_info` and
function approvals (the workflow's span says `workflow.completed`); Agno, which does not write the status of a paused
run; the Vercel AI SDK (the finish reason `tool-calls` is that of a run that came to its limit of steps, too); AutoGen
and BeeAI (in the text of the result alone). CrewAI's `human_input`, LlamaIndex' `InputRequiredEvent`, AutoGen's
`UserProxyAgent` and the Claude Agent SDK's permissions are waited for within the run's open span: such a run is only
long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping


class PauseMark(NamedTuple):
    """An attribute by which a span says that its run waits: with a value like this one, or with any text."""

    key: str
    value: Pattern | None = None

    def found_in(self, attributes: Mapping[str, Any]) -> str | None:
        """What the attribute says, if that is a pause."""
        text = attributes.get(self.key)
        if not isinstance(text, str):
            return None
        text = str.__str__(text)
        if self.value is None:
            return text
        # Only what is the framework's own: the rest may be what was asked.
        found = self.value.search(text)
        return str(found[0]) if found is not None else None


# Whatever the instrumentation, as the name is the framework's own. Instrumentation of Pydantic AI from version 5 on
# writes nothing else.
STEP_MARK: Final = PauseMark("pydantic_ai.tool.deferral.name")
RUN_MARKS: Final = (
    PauseMark("mastra.workflow_run.status", Pattern("^suspended$")),
    PauseMark("workflow.status", Pattern("^suspended$")),
    PauseMark("crewai.event_name", Pattern("^flow_paused$")),
    PauseMark("agentscope.agent.hitl_pending_tools", Pattern(r'^\["')),
    PauseMark("agentscope.agent.external_execution_pending_tools", Pattern(r'^\["')),
)
"""On the run's own span."""

# An error that was recorded as text: `GraphInterrupt: [...]` in JavaScript's stack trace, Python's `repr` at LangSmith.
PAUSE_TEXT: Final = Pattern(r"(?:^|\n)(GraphInterrupt|NodeInterrupt)[:(]")
# The OpenAI Agents SDK's tool of which the error was given to the model for an answer, by whoever's tracing.
NOT_FATAL: Final = Pattern(r"(?:^|['\"])Error running [\w ]{0,40}tool \(non-fatal\)")
CONFIRMATION: Final = Pattern(r"This tool call requires confirmation, please approve or reject\.")
