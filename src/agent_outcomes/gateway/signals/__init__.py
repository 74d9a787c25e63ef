# SPDX-License-Identifier: Apache-2.0
"""What is not a run made from spans: events of runs, verdicts of evaluations, spans that report by a link."""
