#!/usr/bin/env bash
# ibid between other tools: how many samples of each organism and assay a table of free-text annotations has.
#   pipe.sh STEP.yaml MODEL TABLE.tsv.gz [OPTION OF ibid run ...]
# The table leaves out answers that are no JSON. That is sound because of pipefail: ibid has failed then, and so does the pipe.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: pipe.sh STEP.yaml MODEL TABLE.tsv.gz [OPTION ...]" >&2; exit 2; }
step=$1 model=$2 table=$3
shift 3

zcat "$table" | ibid run "$step" - --model "$model" --set output.format=jsonl --quiet "$@" |
  jq -r '.response | fromjson? | [.organism, .assay] | map(. // "-") | @tsv' |
  sort | uniq -c | sort -k1,1nr -k2
