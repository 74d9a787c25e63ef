# SPDX-License-Identifier: Apache-2.0
"""Three example agents: OpenTelemetry code that sets `agent.outcome.*` and knows nothing else of this project."""
