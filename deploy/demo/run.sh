#!/usr/bin/env bash
# Runs the demo with the programs of a build folder. Called by `./dev demo`.
set -euo pipefail
build=${1:?usage: run.sh BUILD_DIR [--keep]}
shift
exec python3 "$(dirname "$0")/demo.py" --sluice "$build/bin/sluice" --flow "$build/bin/example_packages" "$@"
