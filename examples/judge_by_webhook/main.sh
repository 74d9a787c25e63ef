#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs that are judged later, over HTTP: with curl here, and from Python in webhook.py.
#   pip install 'otel-agent-outcomes[gateway]'
#   agent-outcomes serve       in another terminal
#   sh main.sh                 then open http://127.0.0.1:8321
set -eu
gateway=${AGENT_OUTCOMES_GATEWAY:-http://127.0.0.1:8321}

# send METHOD PATH KEY BODY: the key makes it safe to send the same once more.
send() {
  curl --silent --show-error --output /dev/null --write-out "$1 $2 -> %{http_code}\n" --request "$1" "$gateway$2" \
    --header 'content-type: application/json' --header "idempotency-key: $3" --data "$4"
}

# An agent that makes no spans tells of each run in one call.
send POST /v1/runs run-1 '{"agent": "sales-bot", "run_id": "lead-4711", "job_type": "inbound_lead", "cost": "0.42"}'
send POST /v1/runs run-2 '{"agent": "sales-bot", "run_id": "lead-4712", "job_type": "inbound_lead", "cost": "0.35"}'

# Three days later the shop knows what came of it. Told twice it counts once; another verdict is a conflict.
won='{"type": "converted", "value": "1200.00", "currency": "EUR", "reported_by": "shop"}'
send PUT /v1/runs/run_id:lead-4711/outcome event-1 "$won"
send PUT /v1/runs/run_id:lead-4711/outcome event-1 "$won"
send PUT /v1/runs/run_id:lead-4711/outcome event-2 '{"type": "unsuccessful"}'
send POST /v1/runs/run_id:lead-4711/costs event-3 '{"amount": "15.00", "kind": "human"}'

# The CRM's webhook, in Python, knows of the other lead.
echo '{"lead": "lead-4712", "won": false, "event": "crm-9"}' | "${PYTHON:-python3}" "$(dirname "$0")/webhook.py"
