# run --shard and merge: for every N from 1 to 40 the merged files are those of the run without shards, byte by byte.
# Some 900 short runs, each of which fsyncs what it writes: in memory, where the machine has such a folder.
if [ -d /dev/shm ] && [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Sampled answers with log-probabilities; an id that stands twice, in what becomes different shards, and an unreadable row.
odd_table 45 95 >in.tsv
{ sed -e 's/max_tokens: .*/max_tokens: 2/' -e 's/method: greedy/method: sample\n  samples: 2/' -e 's/format: tsv\n  keep/&/' "$root/examples/quickstart/step.yaml"
  printf 'on_error: record\nmax_errors: 1000\n'; } >step.yaml
sed -i 's/^  keep: .*/&\n  logprobs: 2/' step.yaml
run() { "$ibid" run "$@" --model "$model" --quiet --threads 1 --memory 16M; }
merge() { "$ibid" merge "$@" --quiet; }
outputs() { echo -o "$1/a.tsv" --bundle "$1/a.tar" --mqc "$1/a_mqc.json" --versions "$1/versions.yml" --process X:IBID; }
whole() { for f in a.tsv a.tar a_mqc.json versions.yml; do cmp "w/$f" "$1/$f" || fail "$f is another one: $2"; checks=$((checks + 1)); done; }

mkdir w m
run step.yaml in.tsv $(outputs w)
holds "the second of its name is a bad record" "$(cat w/a.tsv)" "bad_record"
holds "tokens are shown" "$(cat w/a.tsv)" '"token":'
exits 0 "$ibid" rerun w/a.tar --model "$model"         # the bad record, too
python3 - <<'PY'
import json
row = json.load(open("w/a_mqc.json"))["data"]["a"]
assert row["records"] == 97 and row["bad_record"] == 2 and row["samples"] == 2 and 0 < row["agreement"] <= 100, row
PY
same "the versions file" '"X:IBID":' "$(head -n 1 w/versions.yml)"
for n in $(seq 1 40); do
  for i in $(seq 1 "$n"); do run step.yaml in.tsv -o /dev/null --bundle "p$i.tar" --shard "$i/$n"; done
  merge $(for i in $(seq 1 "$n"); do echo "p$i.tar"; done | sort -R --random-source=in.tsv) $(outputs m)
  whole m "$n shards"
done
# The control: one character less in the input is another bundle.
sed 's/mouse, day 46/mouse, day 4/' in.tsv >other.tsv
run step.yaml other.tsv -o other.out --bundle other.tar
cmp -s other.tar w/a.tar && fail "another input gave the same bundle"
# First halves that agree are of two steps all the same.
run step.yaml in.tsv -o /dev/null --bundle half.tar --shard 1/3
run step.yaml other.tsv -o /dev/null --bundle other.half.tar --shard 1/3
exits 3 "$ibid" diff half.tar other.half.tar
same "why they differ" "input   the whole inputs differ, beyond the records that are here" "$out"

# Shards that are sound one by one and not together: an id that stands in another shard was given to a record that honestly is a bad one.
# What verify refuses of a shard merge refuses, too, and rerun what a shard says of its tokens.
forge() { python3 "$root/test/cli/forge.py" "$@"; }
for i in 1 2 3; do run step.yaml in.tsv -o /dev/null --bundle "p$i.tar" --shard "$i/3"; done
forge p3.tar f.tar 'records[-1] = dict(records[-2], id="S7", fields=records[-1]["fields"]); outcomes[-1] = dict(outcomes[-2], id="S7")'
exits 0 "$ibid" verify f.tar
exits 4 "$ibid" merge p1.tar p2.tar f.tar -o x.tsv
holds "an id that stands in another shard" "$err" "f.tar: record 97 (S7) "
forge p3.tar f.tar 'outcomes[0]["answers"].pop()'
exits 4 "$ibid" merge p1.tar p2.tar f.tar -o x.tsv
holds "an answer that is missing" "$err" "has 1 answers, not 2"
forge p3.tar f.tar 'records[0]["truncated"] = {"kept_bytes": 1}'
exits 4 "$ibid" merge p1.tar p2.tar f.tar -o x.tsv
holds "a leaf without a key" "$err" "f.tar: record 66 (S65) is damaged: "
forge p3.tar f.tar 'import hashlib
i = [l["mediaType"] for l in layers].index("application/vnd.ibid.token-texts.v1+json")
contents[i] = contents[i].replace(b"\"]", b"?\"]")
config["shard"]["token_texts"] = "sha256:" + hashlib.sha256(contents[i]).hexdigest()'
exits 0 "$ibid" verify f.tar
exits 4 "$ibid" rerun f.tar --model "$model" --records S90
holds "a token with another text" "$err" "is not the model's"
exits 0 "$ibid" rerun p3.tar --model "$model" --records S90

# More shards than records, no record at all, an input that is read once, an input of numbered lines.
head -n 3 in.tsv >few.tsv; head -n 1 in.tsv >none.tsv
for input in few none; do
  run step.yaml "$input.tsv" $(outputs w)
  for i in 1 2 3 4 5; do run step.yaml "$input.tsv" -o "p$i.tsv" --bundle "p$i.tar" --shard "$i/5"; done
  merge p5.tar p4.tar p3.tar p2.tar p1.tar $(outputs m)
  whole m "5 shards of $input"
done
tail -n +2 in.tsv | cut -f 1 >lines.txt
sed -e 's/format: tsv/format: text/' -e '/^  id:/d' -e '/^  keep:/d' -e 's/{{ annotation }}/{{ text }}/' step.yaml >text.yaml
run text.yaml lines.txt $(outputs w)
for i in 1 2 3; do cat lines.txt | run text.yaml -o "p$i.tsv" --bundle "p$i.tar" --shard "$i/3"; done
merge p2.tar p1.tar p3.tar $(outputs m)
whole m "lines from a pipe"

# A shard is a bundle of its own kind: verified, shown, run again.
exits 0 "$ibid" verify p2.tar
holds "verify says what it is" "$out" "shard 2 of 3, records 34 to 65 of 97; result is that of the part, step and input are claims until the merge"
# Of several bundles each is checked; the exit code is that of the first that fails.
exits 0 "$ibid" verify p1.tar w/a.tar
same "which are sound" "sound   p1.tar sound   w/a.tar" "$(grep '^sound' <<<"$out" | paste -sd ' ')"
same "the ids of each" "$("$ibid" verify p1.tar | tail -n +2)" "$(sed -n '2,/^sound/p' <<<"$out" | sed '$d')"
head -c -1024 p3.tar | tr 'a' 'b' >bent.tar
exits 4 "$ibid" verify p1.tar bent.tar nowhere.tar p2.tar
same "the sound ones" "sound   p1.tar sound   p2.tar" "$(grep '^sound' <<<"$out" | paste -sd ' ')"
holds "the damaged one" "$err" "ibid: error: bent.tar: "
holds "the missing one" "$err" "ibid: error: nowhere.tar: "
exits 66 "$ibid" verify nowhere.tar bent.tar
exits 2 "$ibid" verify p1.tar p2.tar --expect "$("$ibid" verify p1.tar | sed -n 's/^bundle  //p')"
holds "one id" "$err" "--expect: is the id of one bundle, but 2 are named"
exits 0 "$ibid" show p2.tar 40
holds "the number is that of the whole input" "$out" "number 40 of 97"
exits 65 "$ibid" show p2.tar 3
exits 0 "$ibid" rerun p2.tar --model "$model"
holds "rerun" "$out" "identical"
exits 0 "$ibid" rerun p2.tar --model "$model" --records 40,41
exits 0 "$ibid" rerun w/a.tar --model "$model"

# What does not belong together is refused by name.
exits 65 "$ibid" merge p1.tar p3.tar -o x.tsv
holds "missing" "$err" "shard 2 of 3: records 34 to 65"
cp p1.tar twice.tar
exits 65 "$ibid" merge p1.tar twice.tar p2.tar p3.tar -o x.tsv
holds "doubled" "$err" "is shard 1 of 3, and so is"
run text.yaml lines.txt -o x1.tsv --bundle n4.tar --shard 2/4
run text.yaml few.tsv -o x1.tsv --bundle input.tar --shard 2/3
run text.yaml lines.txt -o x1.tsv --bundle step.tar --shard 2/3 --set decoding.seed=5
exits 65 "$ibid" merge p1.tar n4.tar p3.tar -o x.tsv
holds "another cut" "$err" "n4.tar: is shard 2 of 4, not of 3"
exits 65 "$ibid" merge p1.tar input.tar p3.tar -o x.tsv
holds "another input" "$err" "input.tar: is a shard of another input"
exits 65 "$ibid" merge p1.tar step.tar p3.tar -o x.tsv
holds "another step" "$err" "step.tar: is a shard of another step"
exits 65 "$ibid" merge w/a.tar -o x.tsv
holds "no shard" "$err" "is a whole bundle"
exits 66 "$ibid" merge p1.tar nowhere.tar
python3 -c 'd = bytearray(open("p2.tar", "rb").read()); d[d.index(b"answers") + 1] ^= 1; open("damaged.tar", "wb").write(d)'
exits 4 "$ibid" merge p1.tar damaged.tar p3.tar -o x.tsv
same "nothing was written" "" "$(ls x.tsv 2>/dev/null || true)"
for bad in 0/3 4/3 3 1/0 -1/3 1/3x a/b 1/9999999999999999999999; do exits 2 "$ibid" run text.yaml lines.txt --model "$model" -o x.tsv --bundle x.tar --shard "$bad"; done
exits 2 "$ibid" run text.yaml lines.txt --model "$model" -o x.tsv --shard 1/3
holds "a shard without a bundle" "$err" "needs --bundle"

# The exit code is that of the whole: one failing record in the second shard.
sed -e '/^on_error/d' -e '/^max_errors/d' -e 's/max_tokens: 2/max_tokens: 60/' text.yaml >strict.yaml
printf 'liver\nkidney\n' >two.txt
for i in 1 2; do code=0; run strict.yaml two.txt -o x1.tsv --bundle "p$i.tar" --shard "$i/2" 2>/dev/null || code=$?; codes="${codes:-}$code "; done
code=0; run strict.yaml two.txt $(outputs w) 2>/dev/null || code=$?
exits "$code" "$ibid" merge p1.tar p2.tar $(outputs m)
whole m "a step that failed"

# The model is embedded by merge as by run.
run step.yaml few.tsv -o w/a.tsv --bundle w/a.tar --embed-model
for i in 1 2; do run step.yaml few.tsv -o x1.tsv --bundle "p$i.tar" --shard "$i/2"; done
merge p1.tar p2.tar -o m/a.tsv --bundle m/a.tar --embed-model --model "$model"
cmp w/a.tar m/a.tar || fail "an embedded model makes another bundle"
cp -r "$model" other
printf x >>other/generation_config.json
exits 65 "$ibid" merge p1.tar p2.tar --bundle m/other.tar --embed-model --model other
holds "another model" "$err" "other/generation_config.json"
printf '{}' >other/generation_config.json
exits 65 "$ibid" merge p1.tar p2.tar --bundle m/other.tar --embed-model --model other
holds "another model" "$err" "name the model that the runs had"
same "no temporary files stay" "" "$(find . -name '.*ibid*')"
done_ok
