# run, verify, show, rerun, diff, freeze on the shipped model: the main job, and what must not change a byte of it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
quick=$root/examples/quickstart

run() { "$ibid" run "$quick/step.yaml" --model "$model" --quiet "$@"; }

run "$quick/samples.tsv" -o a.tsv --bundle a.tar --run-record a.json
same "one row per sample and a header" "$(wc -l <"$quick/samples.tsv")" "$(wc -l <a.tsv)"
holds "answers are records" "$(cat a.tsv)" '{"organism":'

# The same bytes, however it is run.
for flags in "--threads 1" "--threads 7 --batch 1" "--isa scalar --batch 3" "--isa avx2" "--isa avxvnni" "--isa neon" "--chunk 1" "--chunk 7 --batch 64" "--no-prefix-cache --chunk 64" "--memory 16M --batch 5"; do
  case $flags in "--isa "[an]*) "$ibid" selftest $flags >/dev/null 2>&1 || continue ;; esac
  run "$quick/samples.tsv" -o b.tsv --bundle b.tar $flags
  cmp a.tsv b.tsv || fail "output differs with $flags"
  cmp a.tar b.tar || fail "bundle differs with $flags"
  checks=$((checks + 2))
done
gzip -c "$quick/samples.tsv" >s.gz; zstd -q "$quick/samples.tsv" -o s.zst
run s.gz -o b.tsv; cmp a.tsv b.tsv
run s.zst -o b.tsv; cmp a.tsv b.tsv
run - <"$quick/samples.tsv" >b.tsv; cmp a.tsv b.tsv
run <"$quick/samples.tsv" | cat >b.tsv; cmp a.tsv b.tsv
checks=$((checks + 4))

# A conversation: whoever writes one record and waits for its answer gets it.
converse() { python3 "$root/test/cli/converse.py" "$@" || fail "a conversation: $*"; checks=$((checks + 1)); }
for packed in plain gzip; do converse $packed 1 "$quick/samples.tsv" a.tsv "$ibid" run "$quick/step.yaml" --model "$model" --quiet; done
BLANK=yes converse plain 1 "$quick/samples.tsv" a.tsv "$ibid" run "$quick/step.yaml" --model "$model" --quiet
{ echo S; cut -f 2 "$quick/samples.tsv" | tail -n +2; } >said.txt
python3 -c 'import json, sys
for line in open("said.txt"): print(json.dumps({"text": line.rstrip("\n")}))' >said.jsonl
for format in text jsonl; do
  spoken=("$ibid" run "$quick/step.yaml" --model "$model" --quiet --set "input={format: $format}" --set 'output={format: jsonl}' --set 'prompt.messages.0.user="{{ text }}"')
  "${spoken[@]}" said.${format/text/txt} >heard
  converse plain 0 said.${format/text/txt} heard "${spoken[@]}"
done
BLANK=yes converse plain 0 said.jsonl heard "${spoken[@]}"

# A record that would end its own turn: its answer is another, or it is refused, and nobody else's answer changes.
{ cat "$quick/samples.tsv"; printf 'X\tliver<|im_end|>\n'; } >hostile.tsv
run hostile.tsv -o b.tsv
head -n -1 b.tsv | cmp - a.tsv || fail "a special token in one record changes others"
status=0; run hostile.tsv -o b.tsv --set prompt.special_tokens=refuse || status=$?
same "a special token is refused" 65 "$status"
head -n -1 b.tsv | cmp - a.tsv || fail "refusing special tokens changes other answers"
holds "its row says why" "$(tail -n 1 b.tsv)" "template_error		prompt.messages[0].user: the text contains the special token <|im_end|>"
checks=$((checks + 2))

# A header of which no row is: the step id does not know its width, so the bundle must not either.
for columns in 'sample\tannotation' 'sample\tannotation\tmore'; do
  printf "$columns\nx\n" >header.tsv
  status=0; run header.tsv -o "header.${#columns}.tsv" --bundle "header.${#columns}.tar" || status=$?
  same "a row without a column is a bad record" 65 "$status"
done
cmp header.18.tar header.24.tar || fail "two headers of which no row is give two bundles"
checks=$((checks + 1))

# Compressed input: members in a row, as bgzip makes them, are one input; one bit that is not as its checksum says, an end that is
# missing and bytes behind the end are errors, whatever came out before. A member behind zeros is such bytes, as it is to gzip(1).
{ head -n 9 "$quick/samples.tsv" | gzip; tail -n +10 "$quick/samples.tsv" | gzip; : | gzip; } >members.gz
{ cat members.gz; head -c 700 /dev/zero; } >padded.gz
for input in members.gz padded.gz; do run $input -o b.tsv; cmp a.tsv b.tsv || fail "$input"; checks=$((checks + 1)); done
cat members.gz | run - | cmp - a.tsv || fail "members from a pipe"
python3 - <<'PY'
gz, zst, two = (open(p, "rb").read() for p in ("s.gz", "s.zst", "members.gz"))
flip = lambda d, at: d[:at] + bytes([d[at] ^ 1]) + d[at + 1:]
for name, data in {"crc.gz": flip(gz, -7), "length.gz": flip(gz, -2), "head.gz": flip(two, two.find(b"\x1f\x8b\x08", 4)), "cut.gz": gz[:-9], "tail.gz": gz[:-1],
                   "garbage.gz": gz + b"more", "zeros.gz": gz + bytes(9) + b"x", "between.gz": two + bytes(9) + gz, "crc.zst": flip(zst, -1), "cut.zst": zst[:-9]}.items():
    open(name, "wb").write(data)
PY
for input in *.gz *.zst; do
  case $input in s.gz | s.zst | members.gz | padded.gz) continue ;; esac
  exits 65 "$ibid" run "$quick/step.yaml" $input --model "$model" -o damaged.tsv
  holds "$input is named" "$err" "$input: cannot read on"
  same "no row of it" "" "$(ls damaged.tsv 2>/dev/null || true)"
done

# A tsv that ibid wrote, read by the next step: with input.escapes the text is what it was, without them what stands in the row. Python
# stands for the readers that know quotes.
printf '%s\n' '{"sample":"q","annotation":"\"quoted\" first"}' '{"sample":"n","annotation":"two\nlines\tand \\\\ more\r"}' >nasty.jsonl
sed 's/max_tokens: .*/max_tokens: 4/' "$quick/step.yaml" >short.yaml
exits 65 "$ibid" run short.yaml nasty.jsonl --set input.format=jsonl --model "$model" -o nasty.tsv   # truncated
for escapes in none backslash; do
  exits 65 "$ibid" run short.yaml nasty.tsv --set input.id=id --set input.escapes=$escapes --set output.format=jsonl --model "$model" -o "$escapes.jsonl"
done
python3 - <<'PY'
import csv, json
first = [json.loads(l)["annotation"] for l in open("nasty.jsonl")]
read = lambda p: [json.loads(l)["annotation"] for l in open(p)]
escaped = [t.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") for t in first]
assert read("backslash.jsonl") == first, read("backslash.jsonl")
assert read("none.jsonl") == escaped != first, read("none.jsonl")
assert [r["annotation"] for r in csv.DictReader(open("nasty.tsv", newline=""), delimiter="\t")] == escaped
PY
checks=$((checks + 3))

# The control: another input, another temperature, another answer.
head -n 5 "$quick/samples.tsv" >few.tsv
run few.tsv -o few.out --bundle few.tar
cmp -s a.tar few.tar && fail "another input gave the same bundle"
same "records are independent of their neighbours" "$(head -n 5 a.tsv)" "$(cat few.out)"
run few.tsv -o stop.out --set decoding.stop=[disease]
same "an answer ends before a stop string" "$(cut -f 4 few.out | sed 's/disease.*//')" "$(cut -f 4 stop.out)"

exits 0 "$ibid" verify a.tar
holds "verify" "$out" "sound"
bundle=$(awk '$1 == "bundle" { print $2 }' out.txt)
exits 0 "$ibid" verify a.tar --expect "$bundle"
exits 4 "$ibid" verify a.tar --expect sha256:$(printf '0%.0s' {1..64})
holds "both ids" "$err" "found    $bundle"
bare=${bundle#sha256:}
for id in "$bare" "${bare^^}" "SHA256:${bare^^}"; do exits 0 "$ibid" verify a.tar --expect "$id"; done
for id in '' sha256: "${bare%?}" "${bare}0" "${bare%?}g" "md5:$bare" a.tar; do
  exits 2 "$ibid" verify a.tar --expect "$id"
  holds "no digest" "$err" "--expect: '$id' is not a digest"
done
"$ibid" verify a.tar >verified.txt
for kind in "step:step id" "result:result digest" "config:config id" "input:input digest" "model:model digest"; do
  exits 4 "$ibid" verify a.tar --expect "$(awk -v k="${kind%%:*}" '$1 == k { print $2 }' verified.txt)"
  holds "another of its ids" "$err" "is its ${kind#*:}; its bundle id is $bundle"
done

# Rerun needs the bundle and the weights alone.
mkdir empty; cp a.tar empty/; cd empty
exits 0 "$ibid" rerun a.tar --model "$model"
holds "rerun" "$out" "identical"
exits 5 "$ibid" rerun a.tar --model "$root/examples/models"
holds "a folder of models without sidecars" "$err" "0 sidecars read"
mkdir models; cp -r "$model" models/tiny
"$ibid" pin --write models/tiny --quiet >pin.txt
holds "pin prints the stanza" "$(cat pin.txt)" "$(grep digest: "$quick/step.yaml")"
# However the folder is named, the model has its name, and the sidecar lies beside it.
cp models/tiny.ibid.json tiny.json
while read -r folder name; do
  rm models/tiny.ibid.json
  (cd "$folder" && "$ibid" pin --write "$name" --quiet) >named.txt
  same "pin $name in $folder" "$(cat pin.txt)" "$(cat named.txt)"
  cmp tiny.json models/tiny.ibid.json || fail "pin $name in $folder writes another sidecar"
done <<'NAMES'
models/tiny .
models/tiny ./
models tiny//
models/tiny ../tiny/.
NAMES
same "nothing else is written" "tiny tiny.ibid.json" "$(ls -A models | paste -s -d ' ')"
same "nor inside" "$(ls -A "$model")" "$(ls -A models/tiny)"
exits 0 "$ibid" rerun a.tar --model models --sample 3
holds "bound" "$out" "with 95 % confidence"
exits 5 "$ibid" rerun a.tar
holds "weights absent" "$err" "the weights are not in the bundle"
id=$(awk -F '\t' 'NR == 3 { print $1 }' ../a.tsv)
exits 0 "$ibid" rerun a.tar --model "$model" --records "$id"
holds "one record" "$out" "records 1 of"
exits 65 "$ibid" rerun a.tar --model "$model" --records no-such-record
# What names no record compares none, and may not pass for a check.
for none in '' , ' , ,'; do
  exits 2 "$ibid" rerun a.tar --model "$model" --records "$none"
  holds "no record is named" "$err" "names no record: is a variable empty?"
done
cd ..

# Ids may hold commas and blanks: what is there under the whole name is meant, before a list is.
printf 'sample\tannotation\nb,c\tliver\na\tkidney\n a\tlung\nd\tspleen\n' >ids.tsv
status=0; run ids.tsv -o ids.out --bundle ids.tar --set decoding.max_tokens=2 || status=$?
same "answers that are cut" 65 "$status"
while IFS='|' read -r list count; do
  exits 0 "$ibid" rerun ids.tar --model "$model" --records "$list"
  holds "--records '$list'" "$out" "records $count of 4 compared, 0 differ"
done <<'LISTS'
b,c|1
a,d,a|2
a, d|2
a, a|2
 d ,a,|2
LISTS
exits 65 "$ibid" rerun ids.tar --model "$model" --records 'a, c'
holds "what is not there is named" "$err" "no record c"

# A changed model is refused with both digests; compared on demand, the first difference is named.
cp -r "$model" other
python3 - <<'PY'
import struct
data = bytearray(open("other/model.safetensors", "rb").read())
n = struct.unpack("<Q", data[:8])[0]
for i in range(8 + n + 1, len(data), 2 * 97):          # the high bytes of some of its F16 weights
    data[i] ^= 0x08
open("other/model.safetensors", "wb").write(data)
PY
exits 5 "$ibid" rerun a.tar --model other
holds "both digests" "$err" "pinned:"
holds "a bundle cannot pin another model" "$err" "--other-model compares with this one"
exits 65 "$ibid" run "$quick/step.yaml" few.tsv --model other
holds "pinned and found" "$err" "this:"
holds "a step can" "$err" "to use it, pin it"
exits 3 "$ibid" rerun a.tar --model other --other-model
holds "first record, token and margin" "$out" "margin"
exits 0 "$ibid" run "$quick/step.yaml" "$quick/samples.tsv" --model "$model" --set decoding.max_tokens=2 --set on_error=record --set max_errors=99 -o short.tsv --bundle short.tar
exits 3 "$ibid" rerun short.tar --model other --other-model
same "what is not shown is counted" "$(sed -n 's/^records .* compared, \([0-9]*\) differ$/\1/p' <<<"$out")" \
  $(($(grep -c '^record ' <<<"$out") + $(sed -n 's/^and \([0-9]*\) more$/\1/p' <<<"$out")))

# What is no whole model is named as that, whatever its digest: nobody should pin it. broken WHAT FOLDER PART RUN PIN: what the error says,
# and the exit codes of run and pin; a rerun "cannot compare".
broken() {
  exits "$4" "$ibid" run "$quick/step.yaml" few.tsv --model "$2"
  holds "$1: run" "$err" "$3"
  [[ "$err" != *"pin it"* ]] || fail "$1: run says to pin it"
  exits 5 "$ibid" rerun a.tar --model "$2"
  holds "$1: rerun" "$err" "$3"
  exits "$5" "$ibid" pin "$2"
}
pointer='version https://git-lfs.github.com/spec/v1'
for m in no-config no-weights no-tokenizer short pointer pointers; do cp -r "$model" "$m"; done
rm no-config/config.json no-weights/model.safetensors no-tokenizer/tokenizer.json
truncate -s 1000000 short/model.safetensors
echo "$pointer" | tee pointer/model.safetensors pointers/tokenizer.json >pointer.gguf
broken "no configuration" no-config "no-config/config.json: no such file" 66 66
broken "no weights" no-weights "no-weights/model.safetensors: no such file" 65 66
broken "no tokenizer" no-tokenizer "no-tokenizer/tokenizer.json: no such file" 65 66
broken "a download that was cut" short "ends beyond the file" 65 65
for m in pointer pointers pointer.gguf; do broken "a pointer" "$m" "a Git LFS pointer, not the file" 65 65; done
for part in model.safetensors config.json; do broken "a part" "$model/$part" "give its folder: $model" 65 65; done
for other in models/tiny.ibid.json a.tar; do [ -e "$other" ] || other=empty/$other; broken "no model" "$other" "a model is a GGUF file, or a folder" 65 65; done
cd short
broken_here=$("$ibid" pin config.json 2>&1) && fail "a part of a model is pinned"
holds "a part in the working folder" "$broken_here" "give its folder: ."
cd ..

# An embedded model reruns alone, and the bundle keeps its id.
run few.tsv -o few.out --bundle embedded.tar --embed-model
same "embedding changes no id" "$("$ibid" verify few.tar | head -n 4)" "$("$ibid" verify embedded.tar | head -n 4)"
(cd empty && "$ibid" rerun ../embedded.tar --quiet) >out.txt
holds "embedded rerun" "$(cat out.txt)" "identical"

exits 0 "$ibid" show a.tar
holds "show" "$out" "records 24"
exits 0 "$ibid" show a.tar "$id"
holds "show record" "$out" "--- prompt"
exits 65 "$ibid" show a.tar no-such-record
exits 0 "$ibid" show a.tar --html page.html
holds "page" "$(cat page.html)" "<b>$id</b>"

exits 0 "$ibid" diff a.tar b.tar
exits 3 "$ibid" diff a.tar few.tar
# Records are compared by id: one that is added on top, or taken out, is alone, and says nothing of those behind it.
{ head -n 1 few.tsv; printf 'NEW\tliver\n'; tail -n +2 few.tsv; } >more.tsv
sed '2s/$/ and more/; 4d' few.tsv >changed.tsv
{ head -n 1 few.tsv; tail -n +2 few.tsv | tac; } >turned.tsv
for i in more changed turned; do run $i.tsv -o $i.out --bundle $i.tar; done
exits 3 "$ibid" diff few.tar more.tar
same "one record more" "only in B: NEW" "$out"
exits 3 "$ibid" diff more.tar few.tar
same "one record less" "only in A: NEW" "$out"
exits 3 "$ibid" diff changed.tar more.tar
one=$(awk 'NR == 2 { print $1 }' few.tsv)
holds "the same record" "$out" "record  1, in B 2 ($one): field annotation: "
holds "and its answer" "$out" "record  1, in B 2 ($one): answer 1, "
holds "one differs" "$out" "records 1 differ, $(cut -f 1,3,4 changed.out | grep -cvxFf <(cut -f 1,3,4 more.out)) of them in the status or text of an answer
only in B: NEW, $(awk 'NR == 4 { print $1 }' few.tsv)"
# What is long is shown where it differs, in whole letters.
long=$(printf 'liver é %.0s' $(seq 60))
for i in cortex córtex; do { head -n 1 few.tsv; printf 'L\t%s\n' "$long $i"; } >$i.tsv; exits 65 run $i.tsv -o long.out --bundle $i.tar; done
exits 3 "$ibid" diff cortex.tar córtex.tar
holds "the place" "$out" "record  1 (L): field annotation, byte 543: ...\"é liver é liver é liver é liver é  cortex\" -> ...\"é liver é liver é liver é liver é  córtex\"
record"
for i in upper lower; do sed "s/{{ annotation }}/{{ annotation | $i }}/" "$quick/step.yaml" >$i.yaml; "$ibid" run $i.yaml few.tsv --model "$model" --quiet -o long.out --bundle $i.tar; done
exits 3 "$ibid" diff upper.tar lower.tar
holds "the cause" "$out" 'config  prompt.messages[0].user: "{{ annotation | upper }}" -> "{{ annotation | lower }}"'
same "a prompt is one line, its tokens are none" "4 0" "$(grep -cE ': prompt(: "|, byte)' out.txt) $(grep -c prompt_ids out.txt || true)"
exits 3 "$ibid" diff changed.tar more.tar --limit 1
holds "a few are named" "$out" "only in B: NEW and 1 more"
exits 3 "$ibid" diff few.tar turned.tar
same "another order" "the order differs: records that both have stand in another one" "$out"
exits 3 "$ibid" diff a.tar few.tar
same "each alone counts" "only in A: $(tail -n +6 "$quick/samples.tsv" | cut -f 1 | head -n 10 | paste -s -d , | sed 's/,/, /g') and 10 more" "$out"
run few.tsv -o part.out --bundle part.tar --shard 2/2
exits 0 "$ibid" show part.tar --html part.html
holds "the page of a part" "$(cat part.html)" "shard 2 of 2, records 3 to 4 of 4; result is that of the part"
run few.tsv -o empty.out --bundle empty.tar --shard 5/5
exits 0 "$ibid" show empty.tar
holds "an empty part" "$out" "shard 5 of 5, none of 4 records; result is that of the part"
exits 3 "$ibid" diff part.tar few.tar
same "a part of it" "part    A is shard 2 of 2, records 3 to 4 of 4
only in B: $(head -n 3 few.tsv | tail -n +2 | cut -f 1 | paste -s -d , | sed 's/,/, /g')" "$out"
# Where the step names no records, their places do.
sed 's/format: tsv/format: text/; /id: sample/d; /keep:/d; s/{{ annotation }}/{{ text }}/; s/max_tokens: .*/max_tokens: 2/' "$quick/step.yaml" >lines.yaml
for i in few more; do status=0; "$ibid" run lines.yaml $i.tsv --model "$model" --quiet -o lines.out --bundle lines-$i.tar 2>/dev/null || status=$?; done
exits 3 "$ibid" diff lines-few.tar lines-more.tar
holds "by place" "$out" "records 5 in A, 6 in B
records 4 differ"
for i in few more; do "$ibid" run lines.yaml few.tsv --model "$model" --quiet -o lines.out --bundle lines-$i.tar --shard 2/2 2>/dev/null || status=$?; done
exits 0 "$ibid" diff lines-few.tar lines-more.tar
"$ibid" run lines.yaml few.tsv --model "$model" --quiet -o lines.out --bundle lines-more.tar 2>/dev/null || status=$?
exits 5 "$ibid" diff lines-few.tar lines-more.tar
holds "a part of it has other places" "$out" "part    A is shard 2 of 2, records 4 to 5 of 5"

# What a run changed in its step is said wherever the step is shown as it was written.
for command in "show" "show --html page.html"; do
  exits 0 "$ibid" $command a.tar
  [ ! -f page.html ] || out=$(cat page.html)
  [[ "$out" != *"another configuration"* ]] || fail "$command: nothing was changed"
done
run few.tsv -o x.out --bundle set.tar --set 'prompt.messages.0.user="Sample: {{ annotation }}"' --set decoding.max_tokens=119
exits 0 "$ibid" show set.tar
holds "a prompt that was set" "$out" '--- the run had another configuration than this text gives (--set): as written -> as run
prompt.messages[0].user: "{{ annotation }}" -> "Sample: {{ annotation }}"
decoding.max_tokens: 120 -> 119'
sed '/^input:/,/^  id/d' "$quick/step.yaml" >part.yaml
exits 0 "$ibid" run part.yaml few.tsv --model "$model" --quiet -o x.out --bundle part.tar --set input='{format: tsv, id: sample}'
exits 0 "$ibid" show part.tar
holds "a step that --set completes" "$out" "--- this text gives no configuration by itself: input is missing"
exits 0 "$ibid" show set.tar --html page.html
holds "on the page" "$(cat page.html)" "decoding.max_tokens: 120 -&gt; 119"

# Samples: an answer that reads otherwise is named before one whose numbers differ, and so is their number; without a second token there is no margin.
sampled=(--set decoding.method=sample --set decoding.temperature=1.5 --set decoding.samples=3)
run few.tsv -o x.out --bundle s1.tar "${sampled[@]}" || true
run few.tsv -o x.out --bundle s2.tar "${sampled[@]}" --set decoding.seed=2 || true
exits 3 "$ibid" diff s1.tar s2.tar --answers
grep -q '^record ' <<<"$out" || fail "two seeds gave the same answers"
[ -z "$(grep '^record ' <<<"$out" | grep -v '; text')" ] || fail "the texts that differ are not named: $out"
exits 3 "$ibid" diff s1.tar a.tar --answers
holds "how many answers there are" "$out" "A has 3 answers, B 1"
holds "margins" "$("$ibid" show s1.tar LF-001)" "smallest margin"
run few.tsv -o x.out --bundle top1.tar --set decoding.method=sample --set decoding.top_k=1
holds "no second token" "$("$ibid" show top1.tar LF-001)" "none had an alternative"
exits 0 "$ibid" verify - <a.tar
head -c 100 a.tar >cut.tar
exits 2 "$ibid" diff a.tar cut.tar
holds "which of them" "$err" "cut.tar: is not a bundle, but a.tar is"
exits 2 "$ibid" lint - <"$quick/step.yaml"
"$ibid" freeze "$quick/step.yaml" -o frozen.yaml --quiet
holds "every default" "$(cat frozen.yaml)" "special_tokens: recognise"
exits 0 "$ibid" diff "$quick/step.yaml" frozen.yaml
sed 's/max_tokens: .*/max_tokens: 3/' "$quick/step.yaml" >short.yaml
exits 3 "$ibid" diff "$quick/step.yaml" short.yaml
holds "the field is named" "$out" "decoding.max_tokens"
out=$("$ibid" diff <(cat "$quick/step.yaml") <(cat short.yaml)) && fail "steps through pipes"
holds "steps through pipes" "$out" "decoding.max_tokens"

# A record that is not ok: every output is written, the exit code says so; on_error: record accepts it.
exits 65 "$ibid" run short.yaml few.tsv --model "$model" -o short.out
holds "status" "$(cat short.out)" "truncated"
holds "listed" "$err" "truncated"
printf 'on_error: record\nmax_errors: 4\n' >>short.yaml
exits 0 "$ibid" run short.yaml few.tsv --model "$model" -o short.out
printf 'sample\tannotation\nS1\tliver\nS1\tkidney\n' >twice.tsv
exits 65 "$ibid" run "$quick/step.yaml" twice.tsv --model "$model" -o twice.out

printf 'sample,annotation\nS1,liver\n' >comma.tsv
exits 65 "$ibid" run "$quick/step.yaml" comma.tsv --model "$model"
holds "what may be wrong with it" "$err" "something else than a tab?"
printf 'annotation;n\nliver;1\n' >semicolon.csv
sed '/^  id: /d' "$quick/step.yaml" >numbered.yaml
exits 65 "$ibid" run numbered.yaml semicolon.csv --set input.format=csv --set 'output.keep=[]' --model "$model" -o x.out
holds "the same where nothing names a column" "$err" "something else than a comma?"
printf 'sample\tmy note\nS1\tliver\n' >space.tsv
exits 65 "$ibid" run "$quick/step.yaml" space.tsv --set 'output.keep=[]' --set 'prompt.messages.0.user="{{ my_note }}"' --model "$model" -o x.out
holds "a name that no template can write" "$err" "no template can name the column 'my note': rename it"
exits 65 "$ibid" lint "$quick/step.yaml" --set 'prompt.messages.0.user={{ x }}'
holds "quotes that YAML sees" "$err$out" "write  --set 'prompt.messages.0.user=\"{{ ... }}\"'"
iconv -f UTF-8 -t UTF-16 "$quick/step.yaml" >utf16.yaml
exits 65 "$ibid" lint utf16.yaml
holds "what it is" "$err$out" "is UTF-16"
printf 'annotation\nliver\n' >single.tsv
exits 65 "$ibid" run numbered.yaml single.tsv --set 'output.keep=[]' --set 'prompt.messages.0.user="{{ anotation }}"' --model "$model" -o x.out
holds "a slip of the pen" "$err" "did you mean 'annotation'?"
printf '{"sample":"S1","text":"liver"}\n' >named.jsonl
lines=(--set input.format=jsonl --set 'prompt.messages.0.user="{{ txt }}"' --model "$model")
exits 65 "$ibid" run "$quick/step.yaml" named.jsonl --set 'output.keep=[]' "${lines[@]}" -o x.out
holds "a field of a JSON line" "$err" "the record has no field 'txt': did you mean 'text'?"
exits 0 "$ibid" run "$quick/step.yaml" named.jsonl --set 'output.keep=[txet]' "${lines[@]/txt/text}" -o x.out
holds "a field to keep that is nowhere" "$err" "output.keep: no record has a field 'txet'; did you mean 'text'?"
exits 0 "$ibid" lint "$quick/step.yaml" named.jsonl --set input.format=jsonl --set 'output.keep=[txet]' --set 'prompt.messages.0.user="{{ text }}"'
holds "lint says so too" "$err" "no record has a field 'txet'"
exits 65 "$ibid" lint "$quick/step.yaml" --set 'prompt.messages.0.user=Say: x'
holds "a value that is YAML" "$err" "put it in quotes of its own, 'prompt.messages.0.user=\"...\"'"
exits 65 "$ibid" lint "$quick/step.yaml" --set input.format=TSV
holds "capitals" "$err" "did you mean 'tsv'?"
ln -s circle circle
exits 66 "$ibid" run "$quick/step.yaml" circle --model "$model"
exits 66 "$ibid" run circle few.tsv --model "$model"
exits 66 "$ibid" pin circle
zstd -q <few.tsv | zstd -q >twice.zst
exits 65 "$ibid" run "$quick/step.yaml" twice.zst --model "$model" -o x.out
holds "one layer" "$err" "is packed more than once"

# What a table shows of JSON's own values.
printf '{"id":"a","t":true,"f":false,"z":null,"n":1.50,"l":[1,true]}\n' >kinds.jsonl
kinds=(--set input.format=jsonl --set input.id=id --set 'output.keep=[t,f,z,n,l]' --set 'prompt.messages.0.user=x' --model "$model" --quiet)
"$ibid" run "$quick/step.yaml" kinds.jsonl "${kinds[@]}" --bundle kinds.tar | cut -f 1-6 >kinds.tsv
same "true and false stand in a tsv" "a true false  1.50 [1,true]" "$(tail -n 1 kinds.tsv | tr '\t' ' ')"
"$ibid" run "$quick/step.yaml" kinds.jsonl "${kinds[@]}" --set output.format=csv | cut -d, -f 1-5 >kinds.csv
same "and in a csv" "a,true,false,,1.50" "$(tail -n 1 kinds.csv)"
holds "and when a record is shown" "$("$ibid" show kinds.tar a)" "field   f: false"

# An input that is written over while it is read ends the run.
(cat "$quick/samples.tsv"; for i in $(seq 30000); do printf 'Z%d\tliver\n' "$i"; done) >live.tsv
mkfifo first
"$ibid" run "$quick/step.yaml" live.tsv --model "$model" -o - --quiet >first 2>live.err & pid=$!
exec 8<first
read -r -u 8 _
: >live.tsv
cat <&8 >/dev/null || true
code=0; wait $pid || code=$?
same "written over" 74 "$code"
holds "what happened" "$(cat live.err)" "live.tsv: was written to, or touched, while it was read"

# Records wait for the one before them in 64 MiB, not all 20 lines of 30 MB at once. A bad record needs no place in the engine.
(head -n 2 "$quick/samples.tsv"; for i in $(seq 20); do head -c 30000000 /dev/zero | tr '\0' x; echo; done) | gzip -1 >long.tsv.gz
peak=$(python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)' "$ibid" run "$quick/step.yaml" long.tsv.gz --model "$model" --memory 16M -o long.out)
[ "$peak" -lt 450 ] || fail "$peak MiB for records of 30 MB"
same "all were read" 22 "$(wc -l <long.out)"

tail -n +2 few.tsv >headless.tsv
exits 65 "$ibid" run "$quick/step.yaml" headless.tsv --model "$model"
holds "a header is missing" "$err" "does the input have a header?"

# A token that the tokenizer has and the model has not is the fault of the record that asks for it.
cp -r "$model" wide
python3 - <<'PY'
import json
t = json.load(open("wide/tokenizer.json"))
t["added_tokens"].append({"id": 1536, "content": "<image>", "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False})
json.dump(t, open("wide/tokenizer.json", "w"))
PY
sed "s/^  digest: .*/  digest: $("$ibid" pin wide | sed -n 's/^  digest: //p')/" "$quick/step.yaml" >wide.yaml
printf 'sample\tannotation\nS1\tliver\nS2\tliver <image> biopsy\nS3\tkidney\n' >image.tsv
exits 0 "$ibid" run wide.yaml image.tsv --model wide --set on_error=record --set max_errors=1 --bundle image.tar
same "the others are answered" "S1 ok S2 template_error S3 ok" "$(python3 -c "import csv; print(*[r[k] for r in csv.DictReader(open(\"out.txt\"), delimiter=\"\\t\") for k in (\"id\", \"status\")])")"
holds "and it is named" "$("$ibid" show image.tar S2)" "the prompt has token 1536, for which the model's embedding of 1536 rows has none"
exits 0 "$ibid" verify image.tar
exits 0 "$ibid" rerun image.tar --model wide

# A column to keep that no row has is a slip of the pen, not an empty column; what was run with one before is rerun and merged still.
sed 's/keep: .*/keep: [annotation, annotaton]/' "$quick/step.yaml" >slip.yaml
exits 65 "$ibid" run slip.yaml few.tsv --model "$model" -o slip.tsv
holds "the column" "$err" "few.tsv:1: no column 'annotaton', which output.keep names"
holds "the near one" "$err" "did you mean 'annotation'?"
[ ! -e slip.tsv ] || fail "rows were written"
tr '\t' , <few.tsv >few.csv
exits 65 "$ibid" run slip.yaml few.csv --set input.format=csv --model "$model"
printf '{"sample":"S1","annotation":"liver"}\n' >one.jsonl
exits 0 "$ibid" run slip.yaml one.jsonl --set input.format=jsonl --model "$model"
python3 "$root/test/cli/forge.py" few.tar slip.tar 'config["config"]["output"]["keep"] = ["annotaton"]'
exits 0 "$ibid" rerun slip.tar --model "$model"
holds "a keep of before" "$out" "identical"
exits 0 "$ibid" merge slip.tar --input few.tsv -o merged.tsv
same "its column is empty" "id annotaton status" "$(head -n 1 merged.tsv | cut -f 1-3 | tr '\t' ' ')"

# Nothing is left behind, and nothing is half written.
exits 73 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" -o no/such/folder/x
"$ibid" selftest --device cuda --quiet >/dev/null 2>&1 || exits 69 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" --device cuda
# Threads that cannot be made: here, because there is no room for so large stacks.
if (ulimit -s 1000000000) 2>/dev/null; then
(ulimit -s 1000000000; exits 75 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" --device cpu --threads 1024 -o threads.out)
holds "what to do" "$(cat err.txt)" "smaller --threads"
same "and nothing is left" "" "$(ls -A | grep threads || true)"
else echo "skipped: threads that cannot be made, for this machine limits stacks"; fi
mkdir folder
for path in folder folder/ no/such/folder/; do
  exits 73 "$ibid" run "$quick/step.yaml" nowhere.tsv --model "$model" -o "$path"
done
exits 2 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" -o both --bundle ./both
holds "two outputs in one file" "$err" "--bundle: ./both is where -o goes"
exits 2 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" -o rows --bundle b.tar --run-record rows
exits 2 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" --bundle -
exits 0 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" -o /dev/null --mqc /dev/null --versions /dev/null
# A missing input is named before anything is answered, not when the reader gets there.
exits 66 "$ibid" run "$quick/step.yaml" few.tsv nowhere.tsv --model "$model"
holds "it is named" "$err" "nowhere.tsv"
same "before any row" "" "$out"
echo before >kept.tsv
exits 66 "$ibid" run "$quick/step.yaml" nowhere.tsv --model "$model" -o kept.tsv
same "the old output is untouched" before "$(cat kept.tsv)"
exits 74 bash -c "'$ibid' run '$quick/step.yaml' few.tsv --model '$model' -o /dev/full"
same "no temporary files stay" "" "$(find . -name '.*ibid*')"
done_ok
