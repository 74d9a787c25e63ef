# SPDX-License-Identifier: Apache-2.0
"""Spans of any process held on disk and in memory until their runs can be settled."""
