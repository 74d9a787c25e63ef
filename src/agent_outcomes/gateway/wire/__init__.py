# SPDX-License-Identifier: Apache-2.0
"""OTLP requests taken apart on their bytes: frames for all, whole spans and log records for those that matter."""
