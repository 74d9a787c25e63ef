# SPDX-License-Identifier: Apache-2.0
"""The version, a constant so that reading it at import costs nothing."""

__version__ = "0.1.0"
