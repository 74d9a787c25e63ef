# SPDX-License-Identifier: Apache-2.0
"""The rules of the ledger: what a report makes of a run that stands, as a new revision in double entry. Pure."""
