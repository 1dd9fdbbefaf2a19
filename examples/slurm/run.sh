#!/usr/bin/env bash
# A step as a Slurm array of four tasks under stand-in.sh; one runs out of time in the middle and goes on where it was. The merged
# files are those of one run.
#   run.sh [--no-install]
# On a cluster: README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/workflow.sh"
begin_example slurm "$@"
export STAND_IN=$work/state
mkdir "$STAND_IN"
for name in sbatch srun scontrol; do ln -s "$here/stand-in.sh" "$work/bin/$name"; done
cd "$work"
long_input 5 >samples.tsv

# Small batches, so that the first answers are there soon.
title "four tasks; task 3 runs out of time"
job=$(STAND_IN_EVENT="time-limit 3 results/.part-3.ibid.tar.ibid-journal 2000" \
  sbatch --parsable --array=1-4 "$here/array.sh" "$step" samples.tsv "$model" results --batch 4)
cat "slurm-${job}_3.out"

title "merge"
sbatch --dependency=afterok:"$job" "$here/merge.sh" results answers.tsv >/dev/null
compare answers.tsv answers.tsv.ibid.tar samples.tsv
