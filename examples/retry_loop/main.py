# SPDX-License-Identifier: Apache-2.0
"""Retries by the typed outcome, not by matching error texts: with tenacity, and as a plain loop."""

import time
from collections.abc import Iterator

from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from tenacity import retry, stop_after_attempt

from agent_outcomes import Outcome, agent_run, install, retry_after_s
from agent_outcomes.retrying import retry_if_retryable, wait_retry_after

MODEL_ANSWERS: Iterator[Exception | str] = iter(
    [ConnectionError("reset"), TimeoutError("10 s"), "42", TimeoutError("10 s"), PermissionError("key"), "never asked"]
)


def ask_model() -> str:
    """Call a model that is down, then slow, then answers; later the key is refused."""
    answer = next(MODEL_ANSWERS)
    if isinstance(answer, Exception):
        raise answer
    return answer


@retry(retry=retry_if_retryable(), wait=wait_retry_after(max_s=0.01), stop=stop_after_attempt(5), reraise=True)
@agent_run("analyst")
def analyze() -> str:
    """Do one attempt; each one is a run of its own, with its own outcome and cost."""
    return ask_model()


def analyze_in_a_loop() -> str:
    """Do the same without tenacity."""
    for pause_s in (0.001, 0.002, 0.004):
        try:
            with agent_run("loop-analyst"):
                return ask_model()
        except Exception as error:
            if not Outcome.from_exception(error).is_retryable():
                raise
            time.sleep(retry_after_s(error) or pause_s)
    return "no answer in three attempts"


logs = LoggerProvider()
console = ConsoleLogRecordExporter(formatter=lambda record: str(record.log_record.body) + "\n")
logs.add_log_record_processor(SimpleLogRecordProcessor(console))
trace.set_tracer_provider(TracerProvider())
install(logger_provider=logs, meter_provider=MeterProvider())
print("answer:", analyze())
try:
    analyze_in_a_loop()
except PermissionError as error:
    print(f"not tried again: {error!r}")
