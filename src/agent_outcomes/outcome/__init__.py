# SPDX-License-Identifier: Apache-2.0
"""What was stated about an outcome, and what an error means. Pure."""
