#!/usr/bin/env bash
# A step as an array of jobs, one shard for each task:
#   sbatch --array=1-8 array.sh STEP.yaml INPUT MODEL FOLDER [OPTION OF ibid run ...]
# The bundles of the shards come into FOLDER; merge.sh makes one of them. A task that is killed goes on where it was.
#SBATCH --job-name=ibid
#SBATCH --array=1-8
#SBATCH --cpus-per-task=2
#SBATCH --time=01:00:00
#SBATCH --output=slurm-%A_%a.out
#SBATCH --open-mode=append
#SBATCH --requeue
# Without "B:" the signal goes to the steps, that is to ibid, and not to this shell.
#SBATCH --signal=USR2@60
set -euo pipefail
[ $# -ge 4 ] || { echo "usage: sbatch --array=1-N array.sh STEP.yaml INPUT MODEL FOLDER [OPTION ...]" >&2; exit 2; }
step=$1 input=$2 model=$3 folder=$4
shift 4
# A single task that is submitted again belongs to as many shards as before: sbatch --export=ALL,SHARDS=8 --array=3 array.sh ...
shards=${SHARDS:-$SLURM_ARRAY_TASK_COUNT}
refuse() { echo "array.sh: $1" >&2; exit 2; }
# What the folder holds shards of: tasks that count otherwise would take their places. Where no task has begun it holds none.
ls -A "$folder" 2>/dev/null | grep -q '^\.\{0,1\}part-' || rm -f "$folder"/.shards-*
for known in "$folder"/.shards-*; do
  [ ! -e "$known" ] || [ "$known" = "$folder/.shards-$shards" ] ||
    refuse "$folder holds ${known##*-} shards, and this task is one of $shards: --export=ALL,SHARDS=${known##*-} submits one of them again; else take another folder"
done
[ "${SLURM_ARRAY_TASK_MIN:-1}" -ge 1 ] && [ "$SLURM_ARRAY_TASK_ID" -le "$shards" ] || refuse "tasks count from 1 to the number of shards, which is $shards: --array=1-$shards"
mkdir -p "$folder"
: >"$folder/.shards-$shards"

# How much was answered so far, by the size of the journal; answers in a cache are not seen from here.
answered() { stat -c %s "$folder/.part-$SLURM_ARRAY_TASK_ID.ibid.tar.ibid-journal" 2>/dev/null || echo 0; }
before=$(answered)
idle=$folder/.part-$SLURM_ARRAY_TASK_ID.idle       # a line for each try in a row that answered nothing
[ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] || rm -f "$idle"
code=0
# srun does not take --cpus-per-task over from sbatch, and not every cluster binds a step to its CPUs.
cpus=${SLURM_CPUS_PER_TASK:-1}
srun --cpus-per-task="$cpus" ibid run "$step" "$input" --model "$model" --threads "$cpus" --shard "$SLURM_ARRAY_TASK_ID/$shards" \
  -o /dev/null --bundle "$folder/part-$SLURM_ARRAY_TASK_ID.ibid.tar" --resume "$@" || code=$?

# Slurm requeues what it pre-empts and what a node loses, and leaves to us: 140, died by USR2, the time is nearly up; 75, a GPU that
# is taken or no memory, three times. Three times in a row also where all the time was too short for one answer. Every other code would come again.
again=no
case "$code" in
  75) [ "${SLURM_RESTART_COUNT:-0}" -ge 3 ] || again=yes ;;
  140)
    if [ "$(answered)" != "$before" ] || [[ " $* " == *" --cache"* ]]; then rm -f "$idle"; else echo >>"$idle"; fi
    [ "$(cat "$idle" 2>/dev/null | wc -l)" -gt 3 ] || again=yes ;;
  0) rm -f "$idle" ;;
esac
if [ "$again" = yes ]; then
  echo "exit $code: this task goes back into the queue" >&2
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
