# SPDX-License-Identifier: Apache-2.0
"""A run and its outcome, made an event, postings and exact sums. Pure."""
