#!/usr/bin/env bash
# The quickstart: builds ibid when needed, runs one step with the shipped model, and proves that it can be rerun.
#   run.sh              installs what is missing (says what, asks nothing)
#   run.sh --no-install only checks
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
case "${1:-}" in
  "") ;;
  --no-install) export IBID_INSTALL=no ;;
  *) echo "usage: run.sh [--no-install]" >&2; exit 2 ;;
esac
. ../lib/build.sh
need_packages "${build_packages[@]}"
build_ibid

out=$build/quickstart
mkdir -p "$out"
"$IBID" run step.yaml samples.tsv --model ../models/biosample-tiny -o "$out/answers.tsv" --bundle "$out/answers.ibid.tar" --run-record "$out/run.json" --quiet

# Input and output side by side: id, what a person typed, the record that came of it.
awk -F '\t' 'NR == 1 { printf "%-6s  %-58s  %s\n", "sample", "annotation as typed", "record"; next }
             { printf "%-6s  %-58s  %s\n", $1, substr($2, 1, 58), $4 }' "$out/answers.tsv"
echo
"$IBID" verify "$out/answers.ibid.tar"
"$IBID" rerun "$out/answers.ibid.tar" --model ../models/biosample-tiny --quiet
