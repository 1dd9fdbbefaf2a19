# merge --input: runs over pieces that an engine cut give, put together, the files of the run over the whole input, byte by byte.
if [ -d /dev/shm ] && [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# An unreadable row, and an id that stands again in a later piece: both have other names or meanings in a piece than in the whole.
{ odd_table 20 38; printf 'broken\n'; } >in.tsv
{ sed -e 's/max_tokens: .*/max_tokens: 2/' -e 's/method: greedy/method: sample\n  samples: 2/' "$root/examples/quickstart/step.yaml"
  printf 'on_error: record\nmax_errors: 1000\n'; } >step.yaml
run() { "$ibid" run "$@" --model "$model" --quiet --threads 1 --memory 16M; }
merge() { "$ibid" merge "$@" --quiet; }
outputs() { echo -o "$1/a.tsv" --bundle "$1/a.tar" --mqc "$1/a_mqc.json"; }
whole() { for f in a.tsv a.tar a_mqc.json; do cmp "w/$f" "$1/$f" || fail "$f is another one: $2"; checks=$((checks + 1)); done; }
# cut N FILE: pieces of N records, each with the header, as Nextflow's splitText(keepHeader: true) leaves them; their names in $pieces.
cut_input() {
  rm -f piece-*
  tail -n +2 "$2" | split -l "$1" -a 3 -d - piece-
  pieces=()
  for f in piece-???; do
    { head -n 1 "$2"; cat "$f"; } >"$f.tsv"
    run step.yaml "$f.tsv" -o /dev/null --bundle "$f.tar"
    pieces+=("$f.tar")
  done
}

mkdir w m
run step.yaml in.tsv $(outputs w)
holds "the second of its name is a bad record" "$(tail -n 3 w/a.tsv)" "names an earlier record too: S7"
for n in 1 7 20 41 100; do
  cut_input "$n" in.tsv
  merge $(printf '%s\n' "${pieces[@]}" | sort -R --random-source=in.tsv) --input in.tsv $(outputs m)
  whole m "pieces of $n"
done

# An input of two files, compressed, and a piece without records.
cut_input 15 in.tsv
head -n 1 in.tsv >none.tsv
run step.yaml none.tsv -o /dev/null --bundle none.tar
head -n 11 in.tsv | gzip >one.tsv.gz
{ head -n 1 in.tsv; tail -n +12 in.tsv; } >two.tsv
merge "${pieces[@]}" none.tar --input one.tsv.gz --input two.tsv $(outputs m)
whole m "two files"
merge none.tar --input none.tsv -o x.tsv --bundle x.tar
cmp none.tar x.tar || fail "no records at all"

# What does not fit is refused by name: first a cut inside a record.
printf 'sample\tannotation\nQ1\t"liver\nbiopsy"\nQ2\tskin\n' >quoted.tsv
cut_input 1 quoted.tsv
exits 65 "$ibid" merge "${pieces[@]}" --input quoted.tsv -o x.out
holds "a cut inside a record" "$err" "no piece begins with record 1 (Q1) of the input"
cut_input 15 in.tsv
exits 65 "$ibid" merge piece-000.tar piece-002.tar --input in.tsv -o x.out
holds "missing" "$err" "no piece begins with record 16 (S16) of the input, where piece-000.tar ends"
cp piece-001.tar again.tar
exits 65 "$ibid" merge "${pieces[@]}" again.tar --input in.tsv -o x.out
holds "doubled" "$err" "it was named twice, or no other piece ends right before its first record"
exits 65 "$ibid" merge "${pieces[@]}" --input two.tsv -o x.out
holds "not the whole" "$err" "no piece begins with record 1 (S11) of the input"
head -n 40 in.tsv >short.tsv
exits 65 "$ibid" merge "${pieces[@]}" --input short.tsv -o x.out
holds "beyond the end" "$err" "piece-002.tar: holds records beyond the end of the input"
sed 's/liver biopsy 9$/liver biopsy 8/' in.tsv >other.tsv
exits 65 "$ibid" merge "${pieces[@]}" --input other.tsv -o x.out
holds "another record" "$err" "piece-000.tar: its record 9 is not record 9 (S9) of the input"
run step.yaml piece-001.tsv -o /dev/null --bundle step.tar --set decoding.seed=5
exits 65 "$ibid" merge piece-000.tar step.tar piece-002.tar --input in.tsv -o x.out
holds "another step" "$err" "step.tar: is of another step"
run step.yaml in.tsv -o /dev/null --bundle shard.tar --shard 1/2
exits 65 "$ibid" merge shard.tar --input in.tsv -o x.out
holds "a shard" "$err" "shard.tar: is shard 1 of 2, not a piece"
exits 65 "$ibid" merge "${pieces[@]}" -o x.out
holds "no input" "$err" "with --input FILE"
exits 66 "$ibid" merge "${pieces[@]}" --input nowhere.tsv -o x.out
python3 -c 'd = bytearray(open("piece-001.tar", "rb").read()); d[d.index(b"answers") + 1] ^= 1; open("damaged.tar", "wb").write(d)'
exits 4 "$ibid" merge piece-000.tar damaged.tar piece-002.tar --input in.tsv -o x.out
same "nothing was written" "" "$(ls x.out 2>/dev/null || true)"

# Records that are numbered have other names in a piece.
sed -e 's/format: tsv/format: text/' -e '/^  id:/d' -e '/^  keep:/d' -e 's/{{ annotation }}/{{ text }}/' step.yaml >text.yaml
printf 'liver\nkidney\n' >lines.txt
run text.yaml lines.txt -o /dev/null --bundle text.tar
exits 65 "$ibid" merge text.tar --input lines.txt -o x.out
holds "no ids" "$err" "format text) have no ids"
holds "what to do" "$err" "--shard I/N"

# Log-probabilities show tokens, which only the model can spell.
sed -i 's/^  keep: .*/&\n  logprobs: 2/' step.yaml
run step.yaml in.tsv $(outputs w)
cut_input 15 in.tsv
exits 2 "$ibid" merge "${pieces[@]}" --input in.tsv -o x.out
holds "the tokenizer" "$err" "name the model with --model"
merge "${pieces[@]}" --input in.tsv --model "$model" $(outputs m)
whole m "log-probabilities"
holds "tokens are shown" "$(cat m/a.tsv)" '"token":'

# The model is embedded by merge as by run.
run step.yaml in.tsv -o w/a.tsv --bundle w/a.tar --embed-model
merge "${pieces[@]}" --input in.tsv --model "$model" -o m/a.tsv --bundle m/a.tar --embed-model
cmp w/a.tar m/a.tar || fail "an embedded model makes another bundle"
same "no temporary files stay" "" "$(find . -name '.*ibid*')"
done_ok
