# SPDX-License-Identifier: Apache-2.0
"""An agent behind FastAPI: one run a request, and the typed outcome decides the HTTP answer."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import Outcome, agent_run, install, record_outcome

app = FastAPI()


@agent_run("support-bot", job_type="question")
async def answer(question: str) -> str:
    """Answer a question; the run is this call, not the request around it."""
    if question == "busy":
        message = "the model did not answer in time"
        raise TimeoutError(message)
    if question == "bug":
        raise KeyError(question)
    record_outcome(success=True, label="answered")
    return f"about {question}: yes"


@app.get("/answer")
async def get_answer(question: str) -> dict[str, str]:
    """Serve an answer."""
    return {"answer": await answer(question)}


@app.exception_handler(Exception)
async def failed(_: Request, error: Exception) -> JSONResponse:
    """Tell the client whether to come back: 503 if another attempt could help, else 500."""
    outcome = Outcome.from_exception(error)
    return JSONResponse({"status": outcome.status}, status_code=503 if outcome.is_retryable() else 500)


def main() -> None:
    """Print each outcome and each answer."""
    logs = LoggerProvider()
    console = ConsoleLogRecordExporter(formatter=lambda record: str(record.log_record.body) + "\n")
    logs.add_log_record_processor(SimpleLogRecordProcessor(console))
    trace.set_tracer_provider(TracerProvider())
    install(logger_provider=logs, meter_provider=MeterProvider())
    FastAPIInstrumentor.instrument_app(app)
    client = TestClient(app, raise_server_exceptions=False)
    for question in ("opening hours", "busy", "bug"):
        response = client.get("/answer", params={"question": question})
        print(response.status_code, response.json())


if __name__ == "__main__":
    main()
