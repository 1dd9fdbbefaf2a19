#!/usr/bin/env bash
# run.sh FUZZ IBID OUT [FORMAT...]: hostile bytes for the readers of every format of fuzz.cc, from a corpus that seeds.py makes now.
# RUNS inputs for each (default 5000), or with SECONDS_EACH=600 as many as that gives; the corpus in OUT/corpus grows from call to call.
# Exit 1 at the first finding, with the input in OUT/found: FUZZ --format=FORMAT FILE shows it again, with -minimize_crash=1 a smaller one.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
fuzz=$1 ibid=$2 out=$3
shift 3
[ $# -gt 0 ] || set -- json manifest template records tokenizer gguf folder bundle tar
mkdir -p "$out/found" "$out/tmp"
rm -rf "$out/seeds" "$out/control"
python3 "$root/test/fuzz/seeds.py" "$root" "$ibid" "$out/seeds"
export TMPDIR=$out/tmp
limits=(-seed=1 -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=512 -close_fd_mask=1 -print_final_stats=1)

# The control: bugs that fuzz plants must be found, or nothing that follows means anything.
for plant in exception overflow; do
  mkdir -p "$out/control/seeds"
  printf '[[]]' >"$out/control/seeds/1"
  if "$fuzz" --format=json --plant=$plant "${limits[@]}" -runs=300000 -max_len=16 -len_control=0 -artifact_prefix="$out/control/" "$out/control/seeds" 2>"$out/control.log"; then
    echo "the planted $plant was not found" >&2; exit 1
  fi
  case $plant in exception) words="not ibid's own error: planted" ;; overflow) words=heap-buffer-overflow ;; esac
  grep -q "$words" "$out/control.log" || { tail -n 20 "$out/control.log" >&2; echo "not the planted $plant" >&2; exit 1; }
done

for format in "$@"; do
  mkdir -p "$out/corpus/$format"
  bound=(-runs="${RUNS:-5000}")
  [ -z "${SECONDS_EACH:-}" ] || bound=(-max_total_time="$SECONDS_EACH")
  "$fuzz" --format="$format" "${limits[@]}" "${bound[@]}" -artifact_prefix="$out/found/$format-" "$out/corpus/$format" "$out/seeds/$format" 2>"$out/$format.log" ||
    { grep -v '^#' "$out/$format.log" | tail -n 60 >&2; echo "$format: a finding, see $out/found" >&2; exit 1; }
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$format.log") reached=$(sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$out/$format.log")
  [ "${runs:-0}" -ge 1000 ] && [ "${reached:-0}" -ge 500 ] || { echo "$format: $runs inputs that reached $reached places: nothing was tried" >&2; exit 1; }
  echo "$format: $runs inputs, $reached places reached, nothing found"
done
