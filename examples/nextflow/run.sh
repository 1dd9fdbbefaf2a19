#!/usr/bin/env bash
# A real Nextflow answers the quickstart's table in four shards, merges, verifies and reports them; then again with -resume.
#   run.sh [--no-install]
# MODEL=PATH is where the model lies that the step pins (default: the shipped one). IBID=PROGRAM uses that program instead of building one.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/workflow.sh"
begin_example nextflow "$@"
need_nextflow

# Without MultiQC the pipeline runs all the same, and hands it nothing.
if need_multiqc; then
  ln -s "$multiqc" "$work/bin/multiqc"
  report=true
else
  say "going on without MultiQC"
  report=false
fi
cd "$work"

pipeline() {
  "$nextflow" run "$here" -ansi-log false --step "$step" --input "$samples" --model "$model" --suffix tsv \
    --multiqc $report "$@"
}
pipeline -with-trace first.txt
echo
cat results/samples.verified.txt
ibid freeze "$step" -o frozen.yaml --quiet
step=frozen.yaml compare results/samples.tsv results/samples.ibid.tar
echo
pipeline -resume -with-trace second.txt
echo "reused $(awk -F '\t' '$5 == "CACHED"' second.txt | wc -l) of $(tail -n +2 first.txt | wc -l) tasks"
