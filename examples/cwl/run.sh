#!/usr/bin/env bash
# The quickstart's step as a CWL workflow: three jobs, merged; then the GPU tool, which cwltool refuses where there is no GPU.
#   run.sh [--no-install]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/workflow.sh"
begin_example cwl "$@"
need_cwltool

title "three shards and the merge"
"$cwltool" --quiet --outdir "$work/results" "$here/ibid-scatter.cwl" "$here/job.yaml" | grep -e basename -e checksum
compare "$work/results/answers.tsv" "$work/results/answers.ibid.tar"

title "on a GPU"
"$cwltool" --enable-ext --quiet --disable-color --outdir "$work/gpu" "$here/ibid-run-gpu.cwl" "$here/job.yaml" >/dev/null || echo "exit $?"
