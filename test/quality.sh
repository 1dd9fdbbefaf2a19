#!/usr/bin/env bash
# Measures the distance from the exact model on every real model that is there: test/quality.sh QUALITY
# QUALITY is the program test/tools/quality.cc. The whole measurement for the documents: QUALITY MODEL, without options.
set -euo pipefail
quality=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=${IBID_TEST_DATA:-$root/../shared/data}
smollm2=${IBID_SMOLLM2:-$root/build/models/SmolLM2-135M-Instruct.Q4_1.gguf}   # where examples/smollm2/run.sh keeps it
measured=0

# measure MODEL POSITIONS PROMPTS TOKENS [OPTION...]
measure() {
  if [ ! -e "$1" ]; then echo "SKIPPED for want of $1"; return; fi
  echo "## $1"
  "$quality" "$1" --positions "$2" --prompts "$3" --tokens "$4" "${@:5}"
  measured=$((measured + 1))
}

measure "$root/examples/models/biosample-tiny" 1536 20 64
measure "$data/tinystories-656k" 1024 20 64
# SmolLM2's logits are off by 1.7e-3 (root mean square) in 16 bits, so margins below three times that decide nothing: bench/RESULTS.md
measure "$smollm2" 1536 20 64 --margin 5e-3
[ "$measured" -gt 0 ] || exit 77
