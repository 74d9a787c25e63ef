# SPDX-License-Identifier: Apache-2.0
"""Settings that hold for all tests."""

from __future__ import annotations

from hypothesis import settings

# A shared machine is slow at times; what is slow for good, the time limit of each test catches.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
