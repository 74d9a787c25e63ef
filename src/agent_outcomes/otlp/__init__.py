# SPDX-License-Identifier: Apache-2.0
"""OTLP without the SDK."""
