#!/usr/bin/env bash
# The README's promise: its program and its CMakeLists.txt, copied into a folder of their own, build
# against an installed Sluice, run by hand, and go to a cluster unchanged.
# Usage: install_test.sh BUILD_DIR CMAKE
set -euo pipefail

build=$1 cmake=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=$(mktemp -d)
export SLUICE_HOME=$scratch/home
sluice=$scratch/prefix/bin/sluice
cleanup() {
  [ ! -x "$sluice" ] || "$sluice" stop >/dev/null 2>&1 || true
  rm -rf "$scratch"
}
trap cleanup EXIT
fail() { printf 'install_test: %s\n' "$1" >&2; exit 1; }
# quietly LOG COMMAND...: shows what it printed only when it fails.
quietly() {
  local log=$scratch/$1
  shift
  "$@" >"$log" 2>&1 || { cat "$log" >&2; fail "failed: $*"; }
}
# until_true SECONDS COMMAND...: again and again until it succeeds.
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    read -rt 0.1 <> <(:) || true
  done
}

# --- install, and build the README's program against it -----------------------------------

quietly install.log "$cmake" --install "$build" --prefix "$scratch/prefix"
if grep -rqF "$root" "$scratch/prefix"/lib*/cmake/Sluice; then fail "the installed package refers to this source tree"; fi

mkdir "$scratch/orders"
python3 - "$root/README.md" "$scratch/orders" <<'PY'
import pathlib, re, sys
blocks = re.findall(r"^```(\w+)\n(.*?)^```", pathlib.Path(sys.argv[1]).read_text(), re.M | re.S)
pick = lambda language, word: next(text for kind, text in blocks if kind == language and word in text)
pathlib.Path(sys.argv[2], "orders.cpp").write_text(pick("cpp", "int main"))
pathlib.Path(sys.argv[2], "CMakeLists.txt").write_text(pick("cmake", "find_package(Sluice"))
PY
quietly configure.log "$cmake" -G Ninja -S "$scratch/orders" -B "$scratch/build" -DCMAKE_PREFIX_PATH="$scratch/prefix" \
  -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror ${SLUICE_CONSUMER_FLAGS:-}"
quietly build.log "$cmake" --build "$scratch/build"
orders=$scratch/build/orders
cd "$scratch"

# --- what it says of itself -----------------------------------------------------------------

"$orders" --describe >described.json || fail "--describe failed"
python3 - described.json <<'PY' || fail "--describe is not what was written: $(cat described.json)"
import json, sys
flow = json.load(open(sys.argv[1]))["flow"]
assert flow["name"] == "orders" and [p["name"] for p in flow["processors"]] == ["price"]
PY
version=$(sed -n 's/^#define SLUICE_VERSION "\(.*\)"/\1/p' "$scratch/prefix/include/sluice/core/version.hpp")
"$sluice" version >version.txt || fail "the installed program does not run"
grep -qF "$version" version.txt || fail "program and SDK name different versions: $(cat version.txt)"

# --- by hand: the whole system in one process, until Ctrl-C -----------------------------------

mkfifo feed
exec 3<>feed # an input that does not end, or the run would end by itself
env --default-signal=INT "$orders" --put orders=- <feed >local.log 2>&1 & # a shell starts background jobs with SIGINT ignored
local_pid=$!
until_true 20 test -s local.log || fail "local mode says nothing"
kill -INT "$local_pid"
ended=0
wait "$local_pid" || ended=$?
[ "$ended" -eq 130 ] || { cat local.log >&2; fail "local mode ended with $ended after Ctrl-C, not with 130"; }
exec 3>&-

# --- the same file on a cluster ---------------------------------------------------------------

quietly start.log "$sluice" start --head --link-port 0 --control-port 0
quietly submit.log "$sluice" submit "$orders"
printf '%s\n' '{"id":"a","amount":10}' '{"id":"b","amount":10,"coupon":"x"}' >records.jsonl
quietly put.log "$sluice" queue put orders records.jsonl
both_are_priced() { "$sluice" queue peek priced >priced.txt 2>&1 && grep -q '"a"' priced.txt && grep -q '"b"' priced.txt; }
until_true 60 both_are_priced || { "$sluice" status >&2; cat priced.txt >&2; fail "the records did not come out"; }
quietly stop.log "$sluice" stop
echo "install_test: ok"
