# SPDX-License-Identifier: Apache-2.0
"""A LangGraph agent as it is, instrumented by OpenInference: `install()` is the only new line.

pip install langchain langgraph openinference-instrumentation-langchain otel-agent-outcomes
"""

from langchain.agents import create_agent
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, BaseMessage
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import install


class CannedModel(FakeMessagesListChatModel):
    """Answers from a list, so that the example needs no key; use ChatOpenAI(...) or any other model instead."""

    def bind_tools(self, *_: object, **__: object) -> "CannedModel":
        """Leave the tools to the answers."""
        return self


def get_weather(city: str) -> str:
    """Get the weather."""
    if city == "Atlantis":
        message = "the weather service did not answer"
        raise ConnectionError(message)
    return f"sunny in {city}"


def ask_for(city: str) -> list[BaseMessage]:
    """Make the two messages of a model which calls the tool, then answers."""
    call = {"name": "get_weather", "args": {"city": city}, "id": "call-1"}
    return [AIMessage("", tool_calls=[call]), AIMessage(f"It is sunny in {city}.")]


logs = LoggerProvider()
console = ConsoleLogRecordExporter(formatter=lambda record: str(record.log_record.body) + "\n")
logs.add_log_record_processor(SimpleLogRecordProcessor(console))
trace.set_tracer_provider(TracerProvider())
LangChainInstrumentor().instrument()
install(logger_provider=logs, meter_provider=MeterProvider())

for place in ("Paris", "Atlantis"):
    agent = create_agent(CannedModel(responses=ask_for(place)), [get_weather], name="weather_agent")
    try:
        result = agent.invoke({"messages": [("user", f"What is the weather in {place}?")]})
        print("answer:", result["messages"][-1].content)
    except ConnectionError as error:
        print("the agent raised:", error)
