# examples/snakemake, killed in mid-run: a job, Snakemake, or all of them as a scheduler does it. Nothing that is not whole is published,
# and the next run goes on where it was.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
engine snakemake
export XDG_CACHE_HOME=$scratch/xdg

long_input 10 >records.tsv
cat >config.yaml <<Y
step: $step
records: records.tsv
model: $model
files: {}
shards: 2
gpu: 0
options: --batch 4
expect: {}
Y
workflow=("$snakemake" --cores 1 --snakefile "$root/examples/snakemake/workflow/Snakefile" --configfile config.yaml)
# What a workflow finds in PATH leaves its number.
rm bin/ibid
printf '#!/bin/sh\necho $$ >"%s/ibid.pid"\nexec "%s" "$@"\n' "$scratch" "$ibid" >bin/ibid
chmod +x bin/ibid
# The workflow leads a process group, as under a scheduler.
cat >leader.py <<'P'
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)           # a shell's background jobs ignore it
os.setsid()
os.execvp(sys.argv[1], sys.argv[1:])
P
# answered: how many bytes of answers the journals hold.
answered() { { cat results/shards/.*.ibid-journal 2>/dev/null || true; } | wc -c; }
start() {
  was=$(answered)
  python3 leader.py "${workflow[@]}" >snakemake.txt 2>&1 & leader=$!
}
# further: some answers more are in the journals.
further() {
  until [ "$(answered)" -ge $((was + 3000)) ]; do
    kill -0 "$leader" 2>/dev/null || fail "the workflow ended before the kill: $(cat snakemake.txt)"
    sleep 0.02
  done
  was=$(answered)
}
# stopped WHAT CODE: the workflow ends with that exit code within seconds, and publishes nothing that is not whole.
stopped() {
  local code=0 sent=$SECONDS
  wait "$leader" || code=$?
  same "$1: exit code" "$2" "$code"
  checks=$((checks + 1)); [ $((SECONDS - sent)) -le 20 ] || fail "$1: it took $((SECONDS - sent)) s"
  same "$1: nothing is published" "" "$(ls results/answers* 2>/dev/null || true)"
  checks=$((checks + 1)); [ "$(answered)" -ge "$was" ] || fail "$1: the journal is gone"
}

start
further
kill -9 "$(cat ibid.pid)"                               # out of memory, say: Snakemake tries again, and ibid goes on
until grep -q "Trying to restart" snakemake.txt; do
  kill -0 "$leader" 2>/dev/null || fail "Snakemake does not try again: $(cat snakemake.txt)"
  sleep 0.02
done
was=$(answered)                                         # what was answered between the count and the kill does not count
further
holds "ibid goes on" "$(cat logs/run/*.log)" "the journal has"
kill -INT -- "-$leader"
stopped "SIGINT to all" 1

start
further
kill -TERM -- "-$leader"
stopped "SIGTERM to all" 1

start
further
kill -KILL -- "-$leader"
stopped "SIGKILL to all" 137
exits 1 "${workflow[@]}"
holds "the lock is left" "$err" "cannot be locked"
exits 0 "${workflow[@]}" --unlock

start
further
kill -TERM "$leader"
code=0; wait "$leader" || code=$?
same "SIGTERM to Snakemake alone" 1 "$code"
same "lets the shard be finished" 1 "$(ls results/shards/*.tar | wc -l)"

exits 0 "${workflow[@]}"
compare results/answers.tsv results/answers.ibid.tar records.tsv >/dev/null || fail "after all kills"
checks=$((checks + 1))
reused=$(cat logs/run/*.log | awk '/answers were there already/ { n += $2 } END { print n + 0 }')
[ "$reused" -ge 4 ] || fail "only $reused answers were there already"
same "no journal stays" "" "$(find . -name '*.ibid-journal')"
done_ok
