# SPDX-License-Identifier: Apache-2.0
"""The gateway: OTLP in, late outcomes over HTTP, and a page, on one ledger."""
