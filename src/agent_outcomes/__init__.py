# SPDX-License-Identifier: Apache-2.0
"""Did the agent do its job? Typed outcomes of agent runs as OpenTelemetry events and metrics.

Public are the names in `__all__` here, `agent_outcomes.retrying` and `agent_outcomes.doctor`; every other module may
change without notice.

An outcome is stated in one of four ways, by whose it is:

- `record_outcome(...)`: the run's that this code is part of, from anywhere below it. Of agents nested in one another
  that is the outermost one's, whoever opened its span.
- `run.set_outcome(...)`, with the run of `with agent_run(...) as run:`, the agent's of that very block. Nested in
  another run, it is a called agent's, and the run's outcome is not touched.
- `set_outcome(span, ...)`: the agent's whose span you hold.
- `record_run(...)`: that of a run that is over.

What becomes known later, in whatever process, is for `report_outcome` and `report_cost`, where there is a ledger.
"""

from typing import TYPE_CHECKING

from agent_outcomes._version import __version__
from agent_outcomes.api.active_run import ActiveRun
from agent_outcomes.api.agent_run import agent_run
from agent_outcomes.api.record import record_outcome, record_run, set_outcome
from agent_outcomes.api.retry_after import retry_after_s
from agent_outcomes.instrumentation.install import install
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.keywords import Stated
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor
from agent_outcomes.sdk.sampler import OutcomeSampler
from agent_outcomes.sdk.span_reader import IsRun
from agent_outcomes.semconv import CostKind, ErrorCategory, OutcomeType, ProblemKind, Remedy, Source, State, Status
from agent_outcomes.settings import SettingsError

if TYPE_CHECKING:
    from agent_outcomes.api.report import report_cost, report_outcome
    from agent_outcomes.ledger.book.refusals import RefusalCode, Report, ReportRefused, ReportState
    from agent_outcomes.run.pricing import ModelCall, Prices
    from agent_outcomes.settings_arguments import SettingsArguments

__all__ = [
    "ActiveRun",
    "AgentOutcomeSpanProcessor",
    "CostKind",
    "ErrorCategory",
    "IsRun",
    "ModelCall",
    "Outcome",
    "OutcomeSampler",
    "OutcomeType",
    "Prices",
    "Problem",
    "ProblemKind",
    "RefusalCode",
    "Remedy",
    "Report",
    "ReportRefused",
    "ReportState",
    "SettingsArguments",
    "SettingsError",
    "Source",
    "State",
    "Stated",
    "Status",
    "__version__",
    "agent_run",
    "install",
    "record_outcome",
    "record_run",
    "report_cost",
    "report_outcome",
    "retry_after_s",
    "set_outcome",
]

# Only who has prices, or a ledger, or annotates with the settings' types, needs them.
_ON_DEMAND = {
    "ModelCall": "run.pricing",
    "Prices": "run.pricing",
    "RefusalCode": "ledger.book.refusals",
    "Report": "ledger.book.refusals",
    "ReportRefused": "ledger.book.refusals",
    "ReportState": "ledger.book.refusals",
    "SettingsArguments": "settings_arguments",
    "report_cost": "api.report",
    "report_outcome": "api.report",
}


def __getattr__(name: str) -> object:
    """What is imported when it is first asked for. Raises `AttributeError` for any other name."""
    module = _ON_DEMAND.get(name)
    if module is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    import importlib  # noqa: PLC0415 - as above

    found: object = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = found
    return found
