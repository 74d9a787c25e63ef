# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes serve` and `agent-outcomes keys`."""
