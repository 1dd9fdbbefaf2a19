#!/usr/bin/env bash
# After array.sh: its shards into one file of answers and one bundle, which is checked.
#   sbatch --dependency=afterok:JOB merge.sh FOLDER ANSWERS
#SBATCH --job-name=ibid-merge
#SBATCH --time=01:00:00
set -euo pipefail
[ $# = 2 ] || { echo "usage: sbatch --dependency=afterok:JOB merge.sh FOLDER ANSWERS" >&2; exit 2; }
ibid merge "$1"/part-*.ibid.tar -o "$2" --bundle "$2.ibid.tar"
ibid verify "$2.ibid.tar"
