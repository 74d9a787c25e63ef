# SPDX-License-Identifier: Apache-2.0
"""What tests of the gateway share."""

from __future__ import annotations

from tests.gateway_api import kept

__all__ = ["kept"]
