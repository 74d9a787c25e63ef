# SPDX-License-Identifier: Apache-2.0
"""From the ledger to an OTLP receiver: events until they are confirmed, and the totals as cumulative metrics."""
