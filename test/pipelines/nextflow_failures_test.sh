# What happens to Nextflow's tasks when a GPU is busy, a node is taken away, a side file changes, or Nextflow itself is interrupted:
# what is temporary is tried again, what is not is not, and the answers are the bytes of one run in the end.
. "$(dirname "${BASH_SOURCE[0]}")/nextflow.sh"

{ printf 'sample\tannotation\n'; for i in $(seq 300); do printf 'S%d\tliver biopsy number %d, 54yo F, HCC, bulk RNAseq\n' "$i" "$i"; done; } >many.tsv
echo ", batch 1" >note.txt
# manifest: the quickstart's step with note.txt as a side file.
manifest() {
  sed -e "s/{{ annotation }}/{{ annotation }}{{ file('note') }}/" "$quick/step.yaml" |
    sed "/^decoding:/i\\  files: {note: {path: note.txt, digest: sha256:$(sha256sum note.txt | cut -c 1-64)}}" >step.yaml
}
# whole: what one run writes. A bundle carries the manifest as it was given, so this is given the frozen one too.
whole() {
  "$ibid" freeze step.yaml -o frozen.yaml --quiet
  "$ibid" run frozen.yaml many.tsv --model "$model" -o whole.tsv --bundle whole.ibid.tar --quiet
}

# One task at a time, four answers at a time, so that a kill finds a task in the middle.
cat >test.config <<'CONFIG'
process {
    maxForks = 1
    withName: IBID_RUN { ext.args = { "--shard ${meta.part}/${params.shards} --cache ${params.cache} --batch 4" } }
}
CONFIG
arguments=(-c test.config --step step.yaml --side note.txt --input many.tsv --model "$model" --suffix tsv --cache "$scratch/cache")

# An ibid that suffers a fate of its own for each shard when it is first tried.
rm bin/ibid
cat >bin/ibid <<'SH'
#!/bin/bash
# The first try of shard 1 has too little memory; 2 is terminated, 3 killed, and 4's task is told of the node's end as Slurm does.
shard=$(grep -o -e '--shard [0-9]*' <<<"$*" | cut -d' ' -f 2)
if [ -z "$shard" ] || ! mkdir "$SCRATCH/tried-$shard" 2>/dev/null; then exec "$REAL" "$@"; fi
if [ "$shard" = 1 ]; then ulimit -v 90000; exec "$REAL" "$@"; fi
kept() { find "$SCRATCH/cache" -type f | wc -l; }
before=$(kept)
"$REAL" "$@" &
while [ "$(kept)" -lt $((before + 8)) ]; do sleep 0.1; done
case $shard in
  2) kill -TERM $! ;;
  3) kill -KILL $! ;;
  4) task=$$ above=$$
     while above=$(awk '/^PPid:/ { print $2 }' "/proc/$above/status") && [ "$above" -gt 1 ]; do
       if tr '\0' ' ' <"/proc/$above/cmdline" | grep -q '/bash .*\.command\.run'; then task=$above; fi
     done
     kill -USR2 "$task" ;;
esac
wait $!
SH
chmod +x bin/ibid
export REAL=$ibid SCRATCH=$scratch
mkdir cache
manifest
whole
pipeline 0 "${arguments[@]}"
same "shard 1: 75 becomes 175 and is tried again" "$(printf 'COMPLETED\t0\t2\nFAILED\t175\t1')" "$(rows_of 'IBID_RUN (many 1/4)')"
same "shard 2: SIGTERM" "$(printf 'COMPLETED\t0\t2\nFAILED\t143\t1')" "$(rows_of 'IBID_RUN (many 2/4)')"
same "shard 3: SIGKILL" "$(printf 'COMPLETED\t0\t2\nFAILED\t137\t1')" "$(rows_of 'IBID_RUN (many 3/4)')"
same "shard 4: SIGUSR2 to the task" "$(printf 'COMPLETED\t0\t2\nFAILED\t140\t1')" "$(rows_of 'IBID_RUN (many 4/4)')"
exits 0 cmp whole.tsv results/many.tsv
exits 0 cmp whole.ibid.tar results/many.ibid.tar
same "tries that took up what the killed ones had answered" 3 "$(cat work/*/*/.command.err | grep -c 'answers were there already')"

# A side file that is not the one that the manifest names: refused while freezing, and that is not tried again.
echo ", batch 2" >note.txt
pipeline 1 -resume "${arguments[@]}"
same "refused, once" "$(printf 'FAILED\t65\t1')" "$(cut -f 2- <<<"$rows")"

# With its digest in the manifest all runs again. Nextflow is interrupted in the middle of it, and goes on.
manifest
whole
before=$(find cache -type f | wc -l)
# A shell starts background jobs with SIGINT ignored; python gives Nextflow the default back.
python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])' \
  "$nextflow" -q run "$root/examples/nextflow" -ansi-log false --multiqc false -resume "${arguments[@]}" >interrupted.txt 2>&1 & job=$!
# Shards have 75 records: one is done, and another is not.
while [ "$(find cache -type f | wc -l)" -lt $((before + 90)) ]; do
  kill -0 $job 2>/dev/null || { cat interrupted.txt >&2; fail "the run ended before the interruption"; }
  sleep 0.1
done
kill -INT $job
code=0
wait $job || code=$?
[ $code != 0 ] || fail "the interrupted run ended well"
pipeline 0 -resume "${arguments[@]}"
done_before=$(rows_of IBID_RUN | grep -c '^CACHED')
[ "$done_before" -ge 1 ] && [ "$done_before" -le 3 ] || fail "of four shards $done_before were done before the interruption"
exits 0 cmp whole.tsv results/many.tsv
exits 0 cmp whole.ibid.tar results/many.ibid.tar
done_ok
