# examples/shell: ibid in a pipe. A failure in the middle fails the pipe, a closed end is exit 74, and streams are as good as files.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v jq >/dev/null || { echo "SKIPPED: no jq"; exit 77; }
pipe=$root/examples/shell/pipe.sh

exits 0 bash "$root/examples/shell/run.sh" --no-install
holds "the table" "$out" "Homo sapiens	RNA-seq"
holds "what was cut short" "$out" "exit 65"
holds "what was closed" "$out" "exit 74"
holds "the comparison" "$out" "the same bytes"
exits 2 bash "$root/examples/shell/run.sh" --frobnicate

# The counts are those of the answers.
gzip -c "$samples" >samples.tsv.gz
exits 0 bash "$pipe" "$step" "$model" samples.tsv.gz
same "every sample is counted" 24 "$(awk '{ n += $1 } END { print n }' out.txt)"
"$ibid" run "$step" "$samples" --model "$model" --set output.format=jsonl -o answers.jsonl --quiet
same "human samples" "$(grep -c '\\"Homo sapiens\\"' answers.jsonl)" "$(awk '/Homo sapiens/ { n += $1 } END { print n }' out.txt)"

# A pipe whose ibid fails, fails; the control: without pipefail it does not.
exits 65 bash "$pipe" "$step" "$model" samples.tsv.gz --set decoding.max_tokens=38
holds "ibid says why" "$err" "14 of 24 records are not ok"
exits 66 bash "$pipe" "$step" nowhere samples.tsv.gz
sed 's/set -euo pipefail/set -eu/' "$pipe" >careless.sh
exits 0 bash careless.sh "$step" "$model" samples.tsv.gz --set decoding.max_tokens=38
exits 65 bash "$pipe" "$step" "$model" missing.tsv.gz

# A cache stands in for the journal that a stream cannot have: what was answered before the pipe broke is there the next time.
long_input 10 >long.tsv
through() { zcat -f long.tsv | ibid run "$step" - --model "$model" --cache cache --batch 8 --run-record record.json --quiet "$@"; }
code=0; through | head -n 3 >first.tsv || code=$?
same "a closed pipe" 74 "$code"
through --bundle piped.ibid.tar >piped.tsv
compare piped.tsv piped.ibid.tar long.tsv >/dev/null || fail "a pipe that was broken and run again"
same_files "the rows that came before it broke" first.tsv <(head -n 3 piped.tsv)
reused=$(jq .reused_answers record.json)
checks=$((checks + 1)); [ "$reused" -ge 2 ] && [ "$reused" -lt 240 ] || fail "$reused of 240 answers were reused"
done_ok
