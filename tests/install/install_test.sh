#!/usr/bin/env bash
# Installs this build into a scratch prefix, builds a user's project against it with
# find_package(Sluice), and runs what came out. Usage: install_test.sh BUILD_DIR CMAKE
set -euo pipefail

build=$1 cmake=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { printf 'install_test: %s\n' "$1" >&2; exit 1; }

"$cmake" --install "$build" --prefix "$scratch/prefix" >"$scratch/install.log" || { cat "$scratch/install.log"; fail "install failed"; }
"$cmake" -G Ninja -S "$here/consumer" -B "$scratch/build" -DCMAKE_PREFIX_PATH="$scratch/prefix" \
  -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS="${SLUICE_CONSUMER_FLAGS:-}" >"$scratch/configure.log" 2>&1 ||
  { cat "$scratch/configure.log"; fail "find_package(Sluice) failed"; }
"$cmake" --build "$scratch/build" -j 2 >"$scratch/build.log" 2>&1 || { cat "$scratch/build.log"; fail "the project does not build"; }
grep -q "$build" "$scratch/prefix"/lib*/cmake/Sluice/*.cmake && fail "the installed package refers to the build folder"

export SLUICE_HOME=$scratch/home
cd "$scratch"
"$scratch/build/orders" --describe >described.json || fail "--describe failed"
python3 - described.json <<'PY' || fail "--describe is not what was written: $(cat described.json)"
import json, sys
flow = json.load(open(sys.argv[1]))
assert flow["name"] == "orders", flow
assert [p["name"] for p in flow["processors"]] == ["price"], flow
PY

# By hand it is the whole system in one process; a file has an end, so it ends by itself.
printf '%s\n' '{"id":"a","amount":10}' '{"id":"b","amount":10,"coupon":"x"}' >orders.jsonl
timeout 60 "$scratch/build/orders" >local.log 2>&1 || { cat local.log; fail "local mode ended with $?"; }
sort priced.jsonl >sorted
printf '%s\n' '{"id":"a","total":10.0}' '{"id":"b","total":9.0}' >expected
python3 - sorted expected <<'PY' || { cat local.log; fail "local mode wrote: $(cat sorted)"; }
import json, sys
read = lambda name: [json.loads(line) for line in open(name)]
assert read(sys.argv[1]) == read(sys.argv[2])
PY

"$scratch/prefix/bin/sluice" version >version.txt || fail "the installed program does not run"
grep -qF "$(sed -n 's/^#define SLUICE_VERSION "\(.*\)"/\1/p' "$scratch/prefix/include/sluice/core/version.hpp")" version.txt ||
  fail "program and SDK name different versions: $(cat version.txt)"
echo "install_test: ok"
