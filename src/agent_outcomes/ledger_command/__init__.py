# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes ledger`: what people and scripts ask of a ledger."""
