# SPDX-License-Identifier: Apache-2.0
"""DSPy's agents as their users write them; whose spans are made is each adapter's matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import dspy

from tests.frameworks.model_server import MODEL
from tests.frameworks.scenarios import Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer

QUESTION: Final = "How is the weather in Paris?"


class Answerer(dspy.Module):
    """A program of the user's own, around an agent."""

    def __init__(self, tool: dspy.Tool) -> None:
        super().__init__()
        self.react = dspy.ReAct("question -> answer", tools=[tool], max_iters=3)

    async def aforward(self, question: str) -> Any:
        return await self.react.acall(question=question)

    def forward(self, question: str) -> Any:
        return self.react(question=question)


def _write(said: str) -> str:
    """What a model writes in DSPy's form: it uses the tool, says that it is done, and answers."""
    if "[[ ## next_tool_name ## ]]" not in said:
        return "[[ ## reasoning ## ]]\nIt says so.\n\n[[ ## answer ## ]]\nIt is sunny.\n\n[[ ## completed ## ]]"
    name = "finish" if "observation_0" in said else "weather"
    arguments = "{}" if name == "finish" else '{"city": "Paris"}'
    fields = {"next_thought": "Let me see.", "next_tool_name": name, "next_tool_args": arguments}
    return "\n\n".join([*(f"[[ ## {key} ## ]]\n{value}" for key, value in fields.items()), "[[ ## completed ## ]]"])


def _model(server: ModelServer, timeout_s: float | None = None) -> dspy.LM:
    return dspy.LM(
        f"openai/{MODEL}", api_base=server.url, api_key="none", num_retries=0, cache=False, timeout=timeout_s
    )


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    server.write = _write
    tool = dspy.Tool(tool, name="weather")
    program: Answerer = server.cast.subclass(Answerer)(tool)
    with dspy.context(lm=_model(server, timeout_s)):
        return await program.acall(question=QUESTION)


CELLS: Final[Mapping[Scenario, Cell]] = {**usual_cells(_ask, hands_errors_to_the_model=True)}
