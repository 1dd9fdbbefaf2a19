#!/usr/bin/env bash
# Stands in for Slurm where there is none: linked as sbatch, srun and scontrol it runs an array on this machine, two tasks at a time,
# with the variables that Slurm sets. sbatch returns when the job has ended, with the highest exit code of its tasks.
#
# STAND_IN=FOLDER is where it keeps its state. STAND_IN_EVENT="KIND TASK FILE BYTES" lets something happen to the first try of a task,
# once FILE holds that many bytes:
#   time-limit  the signal that the script asked for with --signal goes to the task's step; nothing is requeued but by the script
#   SIGNAL      that signal goes to the task's step, as scancel --signal sends it
#   preempt     SIGTERM goes to the step and to the script; the task is requeued
#   node-fail   SIGKILL goes to both; the task is requeued
set -euo pipefail
: "${STAND_IN:?a folder for the state}"

# directive NAME SCRIPT: the value of its line "#SBATCH --NAME=VALUE".
directive() { sed -n "s/^#SBATCH --$1=//p" "$2"; }

# happen KIND FILE BYTES STATE PID SIGNAL: waits for FILE to grow while script PID runs, then does what KIND says and how long it took.
happen() {
  local kind=$1 file=$2 bytes=$3 state=$4 script_pid=$5 signal=$6 step sent
  until [ "$(stat -c %s "$file" 2>/dev/null || echo 0)" -ge "$bytes" ]; do
    kill -0 "$script_pid" 2>/dev/null || { echo "stand-in: the task ended before its $kind"; return; }
    sleep 0.01
  done
  step=$(cat "$state.step")
  sent=$(date +%s%3N)
  case $kind in
    time-limit) kill -s "$signal" "$step" ;;
    [A-Z]*) signal=$kind; kill -s "$signal" "$step" ;;
    preempt) signal=TERM; touch "$state.requeue"; kill -s TERM "$step" "$script_pid" ;;
    node-fail) signal=KILL; touch "$state.requeue"; kill -s KILL "$script_pid" "$step" ;;
  esac
  while kill -0 "$step" 2>/dev/null; do sleep 0.01; done
  echo "stand-in: $kind: SIG$signal sent, ended after $(($(date +%s%3N) - sent)) ms"
}

# run_task SCRIPT TASK ARGUMENT...: runs the script until it is not requeued any more; returns its exit code.
run_task() {
  local script=$1 task=$2 code restarts=0 event script_pid watcher state=$STAND_IN/$SLURM_ARRAY_JOB_ID.$2
  shift 2
  read -r -a event <<<"${STAND_IN_EVENT:-}"
  while true; do
    code=0
    # A shell starts background jobs with SIGINT ignored, Slurm does not.
    SLURM_ARRAY_TASK_ID=$task SLURM_RESTART_COUNT=$restarts STATE=$state env --default-signal=INT bash "$script" "$@" &
    script_pid=$! watcher=
    if [ "${event[1]:-}" = "$task" ] && [ "$restarts" = 0 ]; then
      happen "${event[0]}" "${event[2]}" "${event[3]}" "$state" "$script_pid" "$(directive signal "$script" | cut -d @ -f 1)" &
      watcher=$!
    fi
    wait "$script_pid" || code=$?
    [ -z "$watcher" ] || wait "$watcher"
    [ -e "$state.requeue" ] || return "$code"
    rm "$state.requeue"
    restarts=$((restarts + 1))
    echo "stand-in: task $task runs again"
  done
}

sbatch() {
  local array= first last task highest=0 pids=() pid code script
  while [[ "${1:-}" == --* ]]; do
    case "$1" in
      --parsable | --dependency=*) ;;                  # the id is printed in any case; what it depends on has ended
      --array=*) array=${1#*=} ;;
      --export=ALL,*) export "${1#*=ALL,}" ;;
      *) echo "sbatch stand-in: unknown option $1" >&2; exit 2 ;;
    esac
    shift
  done
  script=$1
  shift
  array=${array:-$(directive array "$script")}
  array=${array:-1}
  first=${array%-*} last=${array#*-}
  export SLURM_ARRAY_TASK_COUNT=$((last - first + 1)) SLURM_ARRAY_TASK_MIN=$first SLURM_ARRAY_JOB_ID=$$ SLURM_CPUS_PER_TASK=1
  for task in $(seq "$first" "$last"); do
    [ "${#pids[@]}" -lt 2 ] || { code=0; wait "${pids[0]}" || code=$?; [ "$code" -le "$highest" ] || highest=$code; pids=("${pids[@]:1}"); }
    run_task "$script" "$task" "$@" >>"slurm-${$}_$task.out" 2>&1 &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do code=0; wait "$pid" || code=$?; [ "$code" -le "$highest" ] || highest=$code; done
  echo "$$"
  exit "$highest"
}

srun() {
  while [[ "$1" == --* ]]; do shift; done
  echo "$$" >"$STATE.step"
  exec "$@"
}

scontrol() {
  [ "$1" = requeue ] || { echo "scontrol stand-in: unknown command $1" >&2; exit 2; }
  touch "$STAND_IN/${2/_/.}.requeue"
}

"$(basename "$0")" "$@"
