# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP and gRPC: limits, encodings, status codes; what becomes of a request is said by an intake."""
