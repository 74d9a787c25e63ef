# SPDX-License-Identifier: Apache-2.0
"""The entry point by which `opentelemetry-instrument` installs the processor: no line of code in the application.

Loaded by OpenTelemetry only, whose `opentelemetry-instrumentation` holds the base class. No other module imports this.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]  # that module is not typed
    BaseInstrumentor,
)

from agent_outcomes.foreign_exceptions import SILENT, Guard
from agent_outcomes.instrumentation.installation import install_unattended
from agent_outcomes.otel_variables import DISABLED_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Collection

_logger: Final = logging.getLogger(__name__)

NAME: Final = "agent_outcomes"
_PROVIDERS: Final = frozenset({"tracer_provider", "logger_provider", "meter_provider"})


class AgentOutcomesInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # the base class is not typed
    """Installs the processor under `opentelemetry-instrument`.

    Options are the settings that `install()` takes, from `instrumentation/development: {python: {agent_outcomes: ...}}`
    of the file in `OTEL_CONFIG_FILE`, or from the `AGENT_OUTCOMES_*` variables. One that cannot be used is named in a
    warning, and the others stay in force. There is no `configuration` class, by which OpenTelemetry would check the
    options: one unknown name there costs all options, in a traceback. Never raises: that would stop the
    instrumentations that come after.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Nothing: spans of any library will do."""
        return ()

    def instrument(self, **options: Any) -> None:
        """Install the processor once; without a word the second time, which OpenTelemetry itself does for YAML."""
        if not self.is_instrumented_by_opentelemetry:
            super().instrument(**options)

    def _instrument(self, **options: Any) -> None:
        disabled = {name.strip() for name in os.environ.get(DISABLED_VARIABLE, "").split(",")}
        if disabled & {NAME, "*"}:
            # OpenTelemetry looks at the variable itself, but not for what a YAML file lists.
            with SILENT:
                _logger.info("agent outcomes are switched off by %s", DISABLED_VARIABLE)
            return
        with Guard(_note_not_installed):
            providers = {name: options.pop(name) for name in _PROVIDERS & options.keys()}
            install_unattended(options, **providers)

    def _uninstrument(self, **options: Any) -> None:
        del options
        with SILENT:
            _logger.warning("agent outcomes go on: OpenTelemetry cannot remove a span processor")


def _note_not_installed(error: BaseException) -> None:
    with SILENT:
        _logger.error("agent outcomes could not be installed; the application goes on without them", exc_info=error)
