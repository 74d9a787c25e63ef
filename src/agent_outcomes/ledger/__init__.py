# SPDX-License-Identifier: Apache-2.0
"""The ledger: runs, the revisions of their outcomes, exact totals, and what is still to be delivered."""
