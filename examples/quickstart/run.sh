#!/usr/bin/env bash
# The quickstart: builds ibid when needed, runs one step with the shipped model, and proves that it can be rerun.
#   run.sh              installs what is missing (says what, asks nothing)
#   run.sh --no-install only checks
#   run.sh --cuda       builds for NVIDIA GPUs too, in build-cuda (takes minutes), and uses one if it is there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cuda=OFF
for option in "$@"; do
  case "$option" in
    --no-install) export IBID_INSTALL=no ;;
    --cuda) cuda=ON IBID_BUILD=${IBID_BUILD:-$(cd ../.. && pwd)/build-cuda} ;;
    *) echo "usage: run.sh [--no-install] [--cuda]" >&2; exit 2 ;;
  esac
done
. ../lib/build.sh
need_packages "${build_packages[@]}"
if [ $cuda = ON ]; then
  need_packages python3 python3-venv
  need_cuda
fi
build_ibid -DIBID_TESTS=OFF -DIBID_CUDA=$cuda

out=$build/quickstart
mkdir -p "$out"
"$IBID" run step.yaml samples.tsv --model ../models/biosample-tiny -o "$out/answers.tsv" --bundle "$out/answers.ibid.tar" --run-record "$out/run.json"
echo

# Input and output side by side: id, what a person typed, the record that came of it.
awk -F '\t' 'NR == 1 { printf "%-6s  %-58s  %s\n", "sample", "annotation as typed", "record"; next }
             { printf "%-6s  %-58s  %s\n", $1, substr($2, 1, 58), $4 }' "$out/answers.tsv"
echo
"$IBID" verify "$out/answers.ibid.tar"
"$IBID" rerun "$out/answers.ibid.tar" --model ../models/biosample-tiny --quiet
