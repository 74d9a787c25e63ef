# SPDX-License-Identifier: Apache-2.0
"""What plugs into OpenTelemetry's SDK."""
