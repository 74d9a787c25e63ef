# SPDX-License-Identifier: Apache-2.0
"""Python for those who can touch the agent."""
