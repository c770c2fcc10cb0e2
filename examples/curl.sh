#!/usr/bin/env bash
# Stream an answer with curl. Each `data:` line is an event; `docs/protocol.md` lists them.
set -euo pipefail
curl --no-buffer --silent --show-error --fail-with-body "${BASE_URL:-http://127.0.0.1:8010}/chat/stream" \
    --header "Content-Type: application/json" \
    ${API_KEY:+--header "Authorization: Bearer $API_KEY"} \
    --data '{"message": "What is in my workspace?"}'
