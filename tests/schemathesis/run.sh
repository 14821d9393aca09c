#!/usr/bin/env bash
# Puts the /openapi.json of a flow with ten endpoints (tests/support/programs/shop_flow.cpp) to the proof: schemathesis makes thousands of requests from it, good and bad, and
# looks for server errors, undocumented statuses and answers that break their schema.
#
# Usage: tests/schemathesis/run.sh [BIN_DIR [EXAMPLES_PER_OPERATION [ARGUMENT...]]]
#
# Needs schemathesis (pip install schemathesis; SCHEMATHESIS says where) and curl; without it, ends with 77.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=${1:-$root/build/dev/bin}
examples=${2:-200}
shift $(($# < 2 ? $# : 2))
tester=${SCHEMATHESIS:-schemathesis}
command -v "$tester" >/dev/null || { echo "schemathesis is not installed" >&2; exit 77; }

work=$(mktemp -d)
"$bin/shop_flow" --http 127.0.0.1:0 --state-dir "$work/state" >"$work/log" 2>&1 &
shop=$!
trap 'kill "$shop" 2>/dev/null || true; wait "$shop" 2>/dev/null || true; rm -rf "$work"' EXIT

url=
for _ in $(seq 100); do
  url=$(sed -n 's/.*serves \(http:.*\)$/\1/p' "$work/log")
  [ -n "$url" ] && curl -sf "$url/health" >/dev/null && break
  kill -0 "$shop" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.1
done

"$tester" run "$url/openapi.json" --checks all --max-examples "$examples" "$@"
curl -sf "$url/health" >/dev/null || { echo "the server does not answer any more" >&2; exit 1; }
