# SPDX-License-Identifier: Apache-2.0
"""The backends' own configurations, with places for ports and folders."""

from __future__ import annotations

from typing import Final

PROMETHEUS_CONFIG: Final = """\
global: {{scrape_interval: 1s, evaluation_interval: 5s}}
storage: {{tsdb: {{out_of_order_time_window: 1h}}}}
otlp: {{promote_scope_metadata: true, promote_resource_attributes: [deployment.environment.name]}}
scrape_configs: {scrapes}
rule_files: {rules}
"""
LOKI_CONFIG: Final = """\
auth_enabled: false
server:
  http_listen_address: 127.0.0.1
  http_listen_port: {http}
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: {grpc}
  log_level: warn
common:
  instance_addr: 127.0.0.1
  path_prefix: {folder}
  storage: {{filesystem: {{chunks_directory: {folder}/chunks, rules_directory: {folder}/rules}}}}
  replication_factor: 1
  ring: {{kvstore: {{store: inmemory}}}}
ingester: {{lifecycler: {{min_ready_duration: 0s, final_sleep: 0s}}}}
# The frontend looks for its scheduler that often, and is not ready before; the default is 10s.
frontend: {{scheduler_dns_lookup_period: 200ms}}
frontend_worker: {{dns_lookup_duration: 200ms}}
schema_config:
  configs:
    - {{from: 2024-01-01, store: tsdb, object_store: filesystem, schema: v13, index: {{prefix: index_, period: 24h}}}}
limits_config: {{allow_structured_metadata: true}}
analytics: {{reporting_enabled: false}}
"""
JAEGER_CONFIG: Final = """\
extensions:
  jaeger_storage: {{backends: {{mem: {{memory: {{max_traces: 100000}}}}}}}}
  jaeger_query:
    enable_tracing: false
    storage: {{traces: mem}}
    http: {{endpoint: "127.0.0.1:{http}"}}
    grpc: {{endpoint: "127.0.0.1:{grpc}"}}
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: mem}}
service:
  extensions: [jaeger_storage, jaeger_query]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
"""
KAFKA_CONFIG: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""
KAFKA_CLUSTER_ID: Final = "AAAAAAAAQACAAAAAAAAAAQ"
