# examples/slurm: an array under the stand-in. A task that runs out of time, is pre-empted or loses its node dies by the signal within
# 5 s, goes on where it was, and the merged files are those of one run.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
example=$root/examples/slurm

exits 0 bash "$example/run.sh" --no-install
holds "the signal" "$out" "User defined signal 2"
holds "the comparison" "$out" "the same bytes"

for name in sbatch srun scontrol; do ln -s "$example/stand-in.sh" "bin/$name"; done
export STAND_IN=$scratch/state
mkdir "$STAND_IN"
long_input 3 >long.tsv
"$ibid" run "$step" long.tsv --model "$model" -o whole.tsv --bundle whole.ibid.tar --quiet

# array CODE EVENT OPTION...: four tasks into a new folder, and the highest exit code; sets job and log, what task 3 said.
array() {
  rm -rf parts
  STAND_IN_EVENT=$2 exits "$1" sbatch --parsable --array=1-4 "$example/array.sh" "$step" long.tsv "$model" parts --batch 4 "${@:3}"
  job=$out log=$(cat "slurm-${out}_3.out")
}
# again TASK: a task alone, submitted again, is still one of four.
again() {
  exits 0 sbatch --parsable --export=ALL,SHARDS=4 --array="$1-$1" "$example/array.sh" "$step" long.tsv "$model" parts
  log+=$'\n'$(cat "slurm-${out}_$1.out")
}
# merged WHAT: the shards make what one run makes.
merged() {
  exits 0 sbatch --dependency=afterok:"$job" "$example/merge.sh" parts merged.tsv
  same_files "$1" merged.tsv whole.tsv
  same_files "$1" merged.tsv.ibid.tar whole.ibid.tar
}
# ended WHAT SIGNAL: by the signal and in time, with a part of the answers kept for the next try.
ended() {
  local took kept
  took=$(sed -n "s/^stand-in: $1: SIG$2 sent, ended after \([0-9]*\) ms/\1/p" <<<"$log")
  checks=$((checks + 1)); [ -n "$took" ] && [ "$took" -lt 5000 ] || fail "$1: it took '$took' ms to end"
  kept=$(sed -n 's/^ibid: the journal has \([0-9]*\) finished answers/\1/p' <<<"$log")
  checks=$((checks + 1)); [ "${kept:-0}" -ge 1 ] && [ "$kept" -lt 18 ] || fail "$1: '$kept' of 18 answers were kept"
}

when="3 parts/.part-3.ibid.tar.ibid-journal 2000"        # task 3, in the middle of its work
array 0 "time-limit $when"
holds "it dies by the signal" "$log" "User defined signal 2"
ended time-limit USR2
merged "out of time"

for event in "preempt TERM" "node-fail KILL"; do
  array 0 "${event% *} $when"
  holds "it runs again" "$log" "stand-in: task 3 runs again"
  ended $event
  merged "$event"
done

# Whoever cancels a step wants no other try; submitted again, it goes on.
array 143 "TERM $when"
holds "it dies by the signal" "$log" "Terminated"
same "and leaves no bundle" "" "$(ls parts/part-3.ibid.tar 2>/dev/null || true)"
again 3
ended TERM TERM
merged "cancelled by SIGTERM"
array 130 "INT $when"
again 3
ended INT INT
merged "cancelled by SIGINT"

# With a cache there is no journal; a run after it computes nothing.
array 0 "" --cache cache
array 0 "" --cache cache
holds "every answer is there" "$log" "18 answers were there already"
merged "a cache"

# A shard that is missing is named; a task that is submitted alone without SHARDS is refused rather than another shard.
rm parts/part-2.ibid.tar
exits 65 sbatch "$example/merge.sh" parts merged.tsv
holds "the merge names what is missing" "$(cat "slurm-${out}_1.out")" "shard 2 of 4"
for array in 2-2 1-1 1-2; do
  exits 2 sbatch --array=$array "$example/array.sh" "$step" long.tsv "$model" parts
  holds "--array=$array without SHARDS" "$(cat "slurm-${out}_"*.out)" "parts holds 4 shards, and this task is one of"
done
mkdir begun && touch begun/.shards-9                    # of a job that failed before its tasks began
exits 0 sbatch --array=1-1 "$example/array.sh" "$step" long.tsv "$model" begun --cache cache
same "another number of shards" ".shards-1 part-1.ibid.tar" "$(cd begun && ls -d part-* .shards-* | xargs)"
exits 2 sbatch --array=0-3 "$example/array.sh" "$step" long.tsv "$model" other
holds "from 1" "$(cat "slurm-${out}_0.out")" "--array=1-4"
same "and none of them ran" "" "$(ls other 2>/dev/null || true)"
again 2
merged "a task alone"

# 75, and 140 without a new answer, are tried three times more and then given up; what fails for good is not tried again.
rm -r bin/ibid parts
for code in 75 140 65; do
  printf '#!/bin/sh\necho %s >>tries\nexit %s\n' "$code" "$code" >bin/ibid
  chmod +x bin/ibid
  exits "$code" sbatch --array=1-1 "$example/array.sh" "$step" long.tsv "$model" parts
done
same "tries" "4 75 1 65 4 140" "$(sort -r tries | uniq -c | xargs)"
# Submitted once more, it has three tries again; with a new answer each time it goes on.
printf '#!/bin/sh\necho once more >>tries\nexit 140\n' >bin/ibid
exits 140 sbatch --array=1-1 "$example/array.sh" "$step" long.tsv "$model" parts
same "tries of another job" 4 "$(grep -c 'once more' tries)"
rm -r parts
cat >bin/ibid <<'END'
#!/bin/sh
echo answer >>parts/.part-1.ibid.tar.ibid-journal
[ "$(wc -l <parts/.part-1.ibid.tar.ibid-journal)" -ge 7 ] || exit 140
END
exits 0 sbatch --array=1-1 "$example/array.sh" "$step" long.tsv "$model" parts
done_ok
