# Help, version, exit codes and messages: what a pipeline relies on.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

exits 0 "$ibid" --version
holds "version" "$out" "ibid 0."
same "version has one line" 1 "$(wc -l <out.txt)"
exits 0 "$ibid" --help
for command in run rerun verify show merge diff pin lint freeze selftest bench completions man; do
  holds "the overview names $command" "$out" "  $command"
done
for command in run rerun verify show merge diff pin lint freeze selftest bench completions man; do
  "$ibid" "$command" --help >"$command.txt"
  holds "$command --help has an example" "$(cat "$command.txt")" "example:"
  checks=$((checks + 1)); [ "$(wc -l <"$command.txt")" -le 40 ] || fail "$command --help is longer than a screen"
done

exits 2 "$ibid"
exits 2 "$ibid" frobnicate
holds "unknown command" "$err" "unknown command frobnicate"
holds "and where to look" "$err" "ibid --help lists the commands"
exits 2 "$ibid" vrify a.tar
holds "nearest command" "$err" "did you mean 'verify'?"
exits 2 "$ibid" --versoin
holds "an option of ibid itself" "$err" "unknown option --versoin"
holds "nearest option of ibid itself" "$err" "did you mean '--version'?"
exits 2 "$ibid" help vrify
for words in "help --help" "--help --help" "-h -h" "help help"; do exits 0 "$ibid" $words; same "$words" "$("$ibid" --help)" "$out"; done
exits 2 "$ibid" hlep
holds "nearest word" "$err" "did you mean 'help'?"
same "help for a command" "$("$ibid" verify --help)" "$("$ibid" help verify)"
exits 2 "$ibid" diff a.tar
holds "which operand" "$err" "ibid diff: B is missing"
exits 2 "$ibid" run step.yaml --tread 2
holds "nearest option" "$err" "did you mean '--threads'?"
exits 2 "$ibid" run
exits 2 "$ibid" selftest --threads none
exits 66 "$ibid" run nowhere.yaml --model x
holds "missing step is named" "$err" "nowhere.yaml"
exits 66 "$ibid" verify nowhere.tar
exits 4 "$ibid" verify "$model/README.md"
exits 66 "$ibid" pin nowhere.gguf
exits 65 "$ibid" pin "$root/test/cli/lib.sh"
mkfifo pipe
exits 66 "$ibid" verify pipe                       # nobody writes there: refused, not waited for
holds "a pipe is no bundle" "$err" "pipe: not a regular file"
exits 66 "$ibid" pin pipe
exits 66 "$ibid" verify $'no\xffne.tar' --log-format json
same "a name that is no text" "no\\ufffdne.tar" "$(python3 -c 'import json; print(ascii(json.load(open("err.txt"))["where"])[1:-1])')"

# errors as JSON lines
exits 66 "$ibid" verify nowhere.tar --log-format json
python3 -c 'import json,sys; e=json.loads(open("err.txt").readline()); assert e["level"]=="error" and e["where"]=="nowhere.tar", e'
checks=$((checks + 1))

# a full disk or a closed pipe under stdout is an I/O error with an exit code, never a silent success
code=0; "$ibid" --help >/dev/full 2>err.txt || code=$?
same "exit on a full disk" 74 "$code"
python3 - "$ibid" <<'PY'
import os, subprocess, sys
read, write = os.pipe()
os.close(read)
run = subprocess.run([sys.argv[1], "--help"], stdout=write, stderr=subprocess.PIPE)
assert run.returncode == 74, run
PY
checks=$((checks + 1))
# More than one buffer: what was refused is not forgotten when the last flush has nothing left to write.
quick=$root/examples/quickstart

# A prompt that a model cannot hold is refused, not timed.
exits 0 "$ibid" bench --model "$model" --repeat 1
holds "as much as the model takes" "$out" "prefill_511 "
exits 2 "$ibid" bench --model "$model" --repeat 1 --prompt 512
holds "what it takes" "$err" "at most 511"
{ printf 'sample\tannotation\nlong\t'; head -c 9000 /dev/zero | tr '\0' x; echo; } >long.tsv
exits 65 "$ibid" run "$quick/step.yaml" long.tsv --model "$model" --quiet -o long.out --bundle long.tar
exits 74 bash -c "'$ibid' show long.tar long --json >/dev/full"

# An input in another encoding is told what to do, whatever its format.
sed 's/format: tsv/format: text/; /id: sample/d; /keep:/d; s/{{ annotation }}/{{ text }}/' "$quick/step.yaml" >text.yaml
printf 'liver, 54yo F\n' | iconv -t UTF-16 >utf16.txt
exits 65 "$ibid" run text.yaml utf16.txt --model "$model" -o utf16.tsv
holds "another encoding" "$err" "iconv -f UTF-16 (or -f WINDOWS-1252) -t UTF-8"
printf 'liver, 54yo F\n' >utf8.txt
exits 0 "$ibid" run text.yaml utf8.txt --model "$model" -o utf8.tsv
[[ "$err" != *iconv* ]] || fail "a hint for nothing: $err"

# What holds no text is called what it is; only two kinds of packing are undone.
head -n 3 "$quick/samples.tsv" >few.tsv
python3 - <<'PY'
import bz2, gzip, lzma, zipfile
text = open("few.tsv", "rb").read()
for name, data in (("few.bz2", bz2.compress(text)), ("few.xz", lzma.compress(text)), ("few.gz.gz", gzip.compress(gzip.compress(text)))): open(name, "wb").write(data)
with zipfile.ZipFile("few.xlsx", "w") as z: z.writestr("sheet", text)
PY
while read -r name what; do
  exits 65 "$ibid" run "$quick/step.yaml" "$name" --model "$model" --quiet -o packed.out
  same "$name as a table" "ibid: error: $name:1: is $what, not a table" "$(head -n 1 err.txt)"
  exits 65 "$ibid" run text.yaml "$name" --model "$model" -o packed.out --shard 1/1 --bundle packed.tar
  same "$name as lines, once" 1 "$(grep -c "^ibid: $name is $what: gzip and zstd are unpacked, once" err.txt)"
done <<'KINDS'
few.bz2 bzip2 data
few.xz xz data
few.gz.gz gzip data
few.xlsx a zip archive, as an .xlsx is
KINDS
printf BZh >few.bzh
exits 65 "$ibid" run "$quick/step.yaml" few.bzh --model "$model" --quiet -o packed.out
[[ "$err" != *"a bug in ibid"* ]] || fail "three letters: $err"
gzip -k few.tsv
exits 0 "$ibid" run "$quick/step.yaml" few.tsv.gz --model "$model" -o packed.out

# No record is no error, but is said; a table with other line ends is refused, and no such table.
printf 'sample\tannotation\n' >none.tsv
exits 0 "$ibid" run "$quick/step.yaml" none.tsv --model "$model" -o none.out
holds "there was nothing" "$err" "ibid: the input holds no records, only a header"
exits 0 "$ibid" run "$quick/step.yaml" none.tsv --model "$model" -o none.out --quiet
same "quiet" "" "$err"
printf 'sample\tannotation\nS1\tliver\n' | tr '\n' '\r' >mac.tsv
exits 65 "$ibid" run "$quick/step.yaml" mac.tsv --model "$model" -o none.out
holds "how to convert it" "$err" "tr '\\r' '\\n'"
tr '\r' '\n' <mac.tsv >unix.tsv
for i in 1 2; do
  exits 0 "$ibid" run "$quick/step.yaml" unix.tsv --model "$model" -o unix.out --bundle "$i.tar" --shard "$i/2"
  [[ "$err" != *"no records"* ]] || fail "the input has a record, if not in this shard"
done

# A quote at the start of a tsv's value swallows the rows up to the next one: said once, as far as it can be told.
printf 'sample\tannotation\nA1\tliver\nA2\t"quoted, they say\nA3\tkidney\nA4\tso"\nA5\t"twice\n"\n' >quotes.tsv
for shard in "" "--bundle q.tar --shard 1/1"; do
  code=0; "$ibid" run "$quick/step.yaml" quotes.tsv --model "$model" -o quotes.out $shard 2>err.txt || code=$?
  holds "which lines" "$(cat err.txt)" "ibid: record A2 spans lines 3 to 5 of quotes.tsv: is a quote meant?"
  same "once" 1 "$(grep -c "is a quote meant" err.txt)"
done
tr '\t' , <quotes.tsv | sed 's/"quoted, /"quoted /' >quotes.csv
"$ibid" run "$quick/step.yaml" quotes.csv --set input.format=csv --model "$model" -o quotes.out 2>err.txt || true
[[ "$(cat err.txt)" == *" records, "*  && "$(cat err.txt)" != *"is a quote meant"* ]] || fail "a csv is full of such records: $(cat err.txt)"
# Rows that a stray quote would swallow are missing in no count, so such a table is refused, whatever a step accepts.
printf 'sample\tannotation\nA1\tliver\nA2\t"5 prime\nA3\tkidney\nA4\t6" of it\nA5\tskin\n' >stray.tsv
sed '4,5d' stray.tsv >rest.tsv
accept="--set on_error=record --set max_errors=9"
for words in "stray.tsv:3: text follows a closing quote: lines 3 to 5 of stray.tsv" "rest.tsv:3: a quoted field is not closed: lines 3 to 4 of rest.tsv"; do
  for shard in "" "--bundle stray.tar --shard 1/2"; do
    exits 65 "$ibid" run "$quick/step.yaml" "${words%%:*}" $accept --model "$model" -o stray.out $shard
    holds "the rows" "$err" "ibid: error: $words would be one bad record"
    same "no output" "" "$(ls stray.out stray.tar 2>/dev/null || true)"
  done
done
exits 0 "$ibid" run "$quick/step.yaml" stray.tsv --set input.quotes=none --model "$model" -o stray.out
same "each line a row" "5 6\" of it" "$(wc -l <stray.out | awk '{print $1 - 1}') $(grep '^A4' stray.out | cut -f 2)"
head -n 3 stray.tsv >last.tsv                          # here it swallows nothing
exits 0 "$ibid" run "$quick/step.yaml" last.tsv $accept --model "$model" -o last.out
holds "a bad record" "$(cat last.out)" "a quoted field is not closed"
printf '\r\n\r\n' >>last.tsv
exits 0 "$ibid" run "$quick/step.yaml" last.tsv $accept --model "$model" -o last.out
printf 'sample,annotation\r\nA1,"two\r\nlines"\r\nA2,"one\r\nA3,kidney",x\r\n' >wide.csv
exits 65 "$ibid" run "$quick/step.yaml" few.tsv - <stray.tsv $accept --model "$model" -o stray.out
holds "of standard input, behind another" "$err" "stdin:3: text follows a closing quote: lines 3 to 5 of stdin would be one bad record"
exits 65 "$ibid" run "$quick/step.yaml" wide.csv --set input.format=csv $accept --model "$model" -o wide.out
holds "a row of another width" "$err" "wide.csv:4: 3 fields where the header has another number: lines 4 to 5 of wide.csv would be one bad record"

# A template that asks for a column that is not there: the columns are named once, and not in the outcome, which is bytes of a result.
for slip in "annotaton:did you mean 'annotation'?" "tissue:there are sample, annotation"; do
  sed "s/{{ annotation }}/{{ ${slip%%:*} }}/" "$quick/step.yaml" >slip.yaml
  exits 65 "$ibid" run slip.yaml few.tsv --model "$model" -o slip.tsv
  holds "the column" "$err" "ibid: warning: the input has no column '${slip%%:*}': ${slip#*:}"
  same "once" 1 "$(grep -c "the input has no column" <<<"$err")"
  same "the outcome's words" "prompt.messages[0].user:1:4: '${slip%%:*}' is undefined" "$(tail -n 1 slip.tsv | cut -f 5)"
  exits 65 "$ibid" run slip.yaml few.tsv --model "$model" -o slip.tsv --quiet
  [[ "$err" != *"no column"* ]] || fail "not with --quiet"
done

# A prompt without a variable is sound, and said.
says="ibid: no template of the prompt uses a field: every record has the same prompt"
for prompt in '{ annotation }' 'annotation' '{# {{ annotation }} #}' '{% set a = 1 %}{{ a }}'; do
  sed "s/{{ annotation }}/$prompt/" "$quick/step.yaml" >constant.yaml
  exits 0 "$ibid" lint constant.yaml
  holds "lint" "$err" "$says"
  holds "it is sound" "$out" "constant.yaml: sound"
  "$ibid" run constant.yaml few.tsv --model "$model" -o constant.tsv 2>err.txt || same "the model may not end" 65 $?
  holds "run" "$(cat err.txt)" "$says"
  exits 0 "$ibid" lint constant.yaml --quiet
  same "quiet" "" "$err"
done
for prompt in '{{ annotation }}' '{% if annotation %}a{% endif %}' '{% for c in annotation %}{{ c }}{% endfor %}'; do
  sed "s/{{ annotation }}/$prompt/" "$quick/step.yaml" >variable.yaml
  exits 0 "$ibid" lint variable.yaml
  same "nothing to say" "" "$err"
done

# A standard stream that is closed, as daemons have it: no message gets into an output, and nothing is read or written in silence.
"$ibid" run "$quick/step.yaml" few.tsv --model "$model" -o a.tsv --bundle a.tar --quiet
"$ibid" run "$quick/step.yaml" few.tsv --model "$model" -o b.tsv --bundle b.tar 2>&-
cmp a.tsv b.tsv && cmp a.tar b.tar || fail "without stderr the outputs are others"
"$ibid" run "$quick/step.yaml" few.tsv --model "$model" -o b.tsv --bundle b.tar <&- >&- 2>&-
cmp a.tsv b.tsv && cmp a.tar b.tar || fail "without standard streams the outputs are others"
checks=$((checks + 4))
exits 74 bash -c "'$ibid' run '$quick/step.yaml' few.tsv --model '$model' >&-"
exits 74 bash -c "'$ibid' run '$quick/step.yaml' --model '$model' <&-"
# Streams that do not wait, as who shares them may have set them: read and written all the same.
python3 "$root/test/cli/pipes.py" 0 a.tsv few.tsv "$ibid" run "$quick/step.yaml" --model "$model" --quiet
checks=$((checks + 1))
: >no-rows
# waited CODE COMMAND...: what it prints is the same when nobody takes it at once.
waited() {
  exits "$@"
  cp out.txt want.txt
  python3 "$root/test/cli/pipes.py" "$1" want.txt no-rows "${@:2}"
  checks=$((checks + 1))
}
waited 0 "$ibid" --help
waited 0 "$ibid" lint "$quick/step.yaml"
waited 0 "$ibid" pin "$model"
waited 0 "$ibid" show long.tar long --json           # more than the pipe and a buffer hold
waited 0 "$ibid" verify a.tar
waited 0 "$ibid" diff a.tar b.tar
waited 3 "$ibid" diff a.tar long.tar
# An operand that is an empty variable is named, and so is a folder in place of a step, as it is in place of an input.
head -n 4 "$quick/samples.tsv" >few.tsv
while IFS='|' read -r words name; do
  exits 2 "$ibid" $words ''
  holds "$words ''" "$err" "$name is empty: is a variable empty?"
done <<OPERANDS
run $quick/step.yaml few.tsv|an INPUT
run|a STEP.yaml
verify|a BUNDLE
merge x.tar|a BUNDLE
show x.tar|a RECORD
pin|a MODEL
OPERANDS
for flag in -o --bundle --run-record --model --cache; do
  exits 2 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" -o few.out "$flag" ''
  holds "$flag ''" "$err" "$flag: is empty: is a variable empty?"
done
# An option behind one that wants a value is not its value.
exits 2 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" --cache -o few.out
holds "no folder of that name" "$err" "ibid: error: --cache: needs a value, DIR, and is followed by '-o'"
exits 73 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" --cache few.tsv -o few.out
holds "a file" "$err" "a cache is a folder"
exits 0 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" --versions=-v.yml -o -
same "said with =" "1" "$(ls -- -v.yml | wc -l)"
for command in lint freeze "run --model $model"; do exits 65 "$ibid" $command "$root/examples"; holds "$command" "$err" "is a folder, not a file"; done
exits 65 "$ibid" run "$quick/step.yaml" "$root/examples" --model "$model"

# --verbose names the model that was found, and what was done; --quiet outweighs it.
cp -r "$model" models-tiny && mkdir models && mv models-tiny models/tiny && "$ibid" pin --write models/tiny --quiet >/dev/null
exits 0 "$ibid" run "$quick/step.yaml" few.tsv --model models --verbose -o few.out --bundle few.tar
holds "the model" "$err" "ibid: model models/tiny"
holds "memory" "$err" "ibid: weights 4 MiB, K/V cache "
holds "work" "$err" " prompt tokens computed, "
exits 0 "$ibid" rerun few.tar --model models --verbose
holds "rerun, too" "$err" "ibid: model models/tiny"
exits 0 "$ibid" run "$quick/step.yaml" few.tsv --model models --verbose --quiet -o few.out
same "quiet" "" "$err"

# A section that MultiQC would not find is said to be one.
exits 0 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" -o few.out --mqc section.json
holds "its name" "$err" "ibid: --mqc section.json: MultiQC looks for names that end in _mqc.json"
exits 0 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" -o few.out --mqc few_mqc.json
[[ "$err" != *MultiQC* ]] || fail "nothing to say: $err"

# -h is --help.
for command in "" run show; do same "$command -h" "$("$ibid" $command --help)" "$("$ibid" $command -h)"; done
exits 2 "$ibid" verify -x
page=$("$ibid" man | sed 's/\\-/-/g')
holds "where - is a stream" "$page" "- is standard input where an INPUT is named, and standard output where an output is."

# lint with an input: what a run would say of its records before the model is asked; standard input is one.
exits 0 "$ibid" lint "$quick/step.yaml" few.tsv
same "records" "records 3, 0 that cannot be answered" "$(tail -n 1 <<<"$out")"
exits 0 "$ibid" lint "$quick/step.yaml" - <few.tsv
sed 's/{{ annotation }}/{{ annotaton }}/' "$quick/step.yaml" >slip.yaml
exits 0 "$ibid" lint slip.yaml
exits 65 "$ibid" lint slip.yaml few.tsv
holds "which, and why" "$err" "few.tsv:2: record $(sed -n 2p few.tsv | cut -f 1): template_error: prompt.messages[0].user:1:4: 'annotaton' is undefined"
holds "the column" "$err" "did you mean 'annotation'?"
{ cat few.tsv; echo broken; } >odd.tsv
exits 65 "$ibid" lint "$quick/step.yaml" odd.tsv
holds "an unreadable one" "$err" "1 of 4 records cannot be answered:"
exits 0 "$ibid" lint "$quick/step.yaml" odd.tsv --set on_error=record --set max_errors=1
holds "which the step accepts" "$err" "bad_record: 1 field where the header has another number"
exits 65 "$ibid" lint "$quick/step.yaml" stray.tsv
for name in "my col" "naïve"; do
  sed "s/{{ annotation }}/{{ $name }}/" "$quick/step.yaml" >slip.yaml
  exits 65 "$ibid" lint slip.yaml
  holds "names of fields" "$err" "ibid: hint: a field is one word of ASCII letters, digits and _"
done
for slip in "annotation | upper lower" "annotation »"; do
  sed "s/{{ annotation }}/{{ $slip }}/" "$quick/step.yaml" >slip.yaml
  exits 65 "$ibid" lint slip.yaml
  [[ "$err" != *"a field is one word"* ]] || fail "no name: $err"
done

# Files are called by their names, which two of them cannot share.
mkdir S1 S2
echo liver >S1/report.txt; echo skin >S2/report.txt
sed -e '/id: sample/d; 0,/format: tsv/s/format: tsv/format: files/; /keep/d; s/annotation/text/; s/max_tokens: .*/max_tokens: 2/' "$quick/step.yaml" >files.yaml
exits 65 "$ibid" run files.yaml S1/report.txt S2/report.txt --model "$model" -o files.out
holds "both" "$err" "ibid: error: S2/report.txt: has the same name as S1/report.txt, and the name is the id of the record"
ln -s S2/report.txt S2.txt
exits 65 "$ibid" run files.yaml S1/report.txt S2.txt --model "$model" -o files.csv   # truncated
holds "what is written" "$err" "ibid: -o files.csv is written as tsv, which is the step's output.format"

# What is no record is told how records are called; a page is one of the whole bundle.
sed 's/max_tokens: .*/max_tokens: 2/' "$quick/step.yaml" >short.yaml
sed 's/max_tokens: .*/max_tokens: 2/' text.yaml >lines.yaml
{ cat few.tsv; echo broken; } >odd.tsv
exits 65 "$ibid" run short.yaml odd.tsv --model "$model" -o odd.out --bundle odd.tar
exits 65 "$ibid" run lines.yaml odd.tsv --model "$model" -o lines.out --bundle lines.tar
exits 65 "$ibid" show odd.tar 1
holds "records have ids" "$err" "records of this step have ids, and the first is $(sed -n 2p few.tsv | cut -f 1); a record without an id of its own is called '#' and its number, like #4"
exits 0 "$ibid" show odd.tar '#4'
same "no answer has no log-probability" "--- no answer, status bad_record: 1 field where the header has another number" "$(tail -n 1 <<<"$out")"
exits 65 "$ibid" rerun odd.tar --model "$model" --records 1
holds "rerun says so, too" "$err" "records of this step have ids"
exits 65 "$ibid" show lines.tar sample
holds "records have numbers" "$err" "records of this step are numbers, from 1 to 5"
exits 0 "$ibid" show lines.tar 1
# The rows again, of a whole bundle and of a shard, and none of a bundle that is damaged.
exits 0 "$ibid" show odd.tar --rows rows.tsv
same "as the run wrote them" "$(cat odd.out)" "$(cat rows.tsv)"
exits 0 "$ibid" show lines.tar --rows -
same "to standard output" "$(cat lines.out)" "$out"
exits 65 "$ibid" run short.yaml odd.tsv --set output.logprobs=2 --model "$model" -o half.out --bundle half.tar --shard 2/2
exits 0 "$ibid" show half.tar --rows rows.tsv
same "with the texts of likely tokens" "$(cat half.out)" "$(cat rows.tsv)"
exits 65 "$ibid" run short.yaml odd.tsv --set output.logprobs=2 --model "$model" -o half.out --bundle whole.tar
exits 2 "$ibid" show whole.tar --rows rows.tsv
holds "who has the texts" "$err" "ibid: error: rows with log-probabilities show tokens, whose texts no whole bundle holds"
holds "what to do" "$err" "ibid: hint: name the model with --model"
exits 0 "$ibid" show whole.tar --rows rows.tsv --model "$model"
same "of the model" "$(cat half.out)" "$(cat rows.tsv)"
python3 - <<'PY'
data = open("odd.tar", "rb").read()
at = data.rfind(b'"answers"')                          # of the last record
open("bent.tar", "wb").write(data[:at] + b'"ANSWERS"' + data[at + 9:])
PY
exits 4 "$ibid" show bent.tar --rows bent.out
holds "the last record" "$err" "record 4"
same "and writes none" "" "$(ls bent.out 2>/dev/null || true)"
exits 2 "$ibid" show lines.tar 1 --rows rows.tsv
for other in "--html page.html" --json; do exits 2 "$ibid" show lines.tar $other --rows rows.tsv; done
exits 2 "$ibid" show lines.tar --model "$model"
exits 2 "$ibid" show lines.tar --html page.html --json
holds "one of the two" "$err" "--json: does not go with --html"
exits 2 "$ibid" show lines.tar --html page.html --limit few
holds "no limit is no number" "$err" "'few' is not a whole number of at least 1"

# diff --answers: of the records that differ only those whose answers do.
exits 65 "$ibid" run short.yaml odd.tsv --set decoding.max_tokens=1 --model "$model" -o one.out --bundle one.tar
exits 3 "$ibid" diff odd.tar one.tar --answers
same "three of them" 3 "$(grep -c '^record ' <<<"$out")"
exits 3 "$ibid" diff odd.tar one.tar --limit 0
same "none listed" 0 "$(grep -c '^record ' <<<"$out")"
same "but counted" "records 3 differ, 3 of them in the status or text of an answer" "$(tail -n 1 <<<"$out")"
exits 2 "$ibid" diff "$quick/step.yaml" short.yaml --answers

exits 2 "$ibid" show lines.tar 1 --html page.html
holds "one record is no page" "$err" "it does not go with a RECORD"
same "no page" "" "$(ls page.html 2>/dev/null || true)"

# The end of a run says how many prompts were cut; an output is written plain, whatever its name says.
sed 's/^decoding:/&\n  truncate: {field: annotation, keep: head, tokens: 3}/' short.yaml >cut.yaml
exits 65 "$ibid" run cut.yaml few.tsv --model "$model" -o cut.tsv.gz --shard 1/1 --bundle cut.tar
holds "prompts that were cut" "$err" "ibid: 3 of 3 prompts were cut, as decoding.truncate says"
for name in cut.tsv.gz x.zst; do
  exits 65 "$ibid" run short.yaml few.tsv --model "$model" -o $name
  holds "it is written plain" "$err" "-o $name is written plain"
  [[ "$err" != *"were cut"* ]] || fail "nothing was cut"
done
same "plain it is" 4 "$(wc -l <x.zst)"
exits 65 "$ibid" merge cut.tar -o merged.tsv
holds "merge says so, too" "$err" "ibid: 3 of 3 prompts were cut"
[[ "$err" != *plain* ]] || fail "merged.tsv says nothing else"

# On a terminal the progress line is redrawn, and gives way to messages; as JSON it is a line like others, and comes as rarely.
if has_terminals "the progress line"; then
  { printf 'sample\tannotation\n'; for i in $(seq 1000); do printf 'A%d\tliver %d\n' "$i" "$i"; done; } >many.tsv
  sed "s/{{ annotation }}/{% if annotation == 'liver 990' %}{{ nope }}{% else %}{{ annotation }}{% endif %}/" "$quick/step.yaml" >late.yaml
  on_terminal() { script -qec "$(printf '%q ' "$ibid" run late.yaml many.tsv --model "$model" -o many.out --threads 1 "$@")" /dev/null </dev/null >terminal.txt || true; }
  on_terminal
  holds "progress" "$(cat terminal.txt)" "/1000 records, "
  note=$(grep "the input has no column" terminal.txt || true)
  holds "a message" "${note##*$'\r\e[K'}" "ibid: warning: the input has no column 'nope'"
  [[ "${note##*$'\r\e[K'}" != *tokens/s* ]] || fail "a message behind the progress: $note"
  SECONDS=0
  on_terminal --log-format json
  holds "messages as JSON" "$(cat terminal.txt)" "\"message\":\"the input has no column 'nope'"
  checks=$((checks + 1)); [ "$(grep -c tokens/s terminal.txt)" -le $((SECONDS / 30)) ] || fail "progress as JSON: $(grep -c tokens/s terminal.txt) lines in $SECONDS s"
fi

# What a stranger wrote does not command the terminal: neither in messages, nor in what show prints.
printf '{"sample":"S1","a\\u001b[2J":1,"a\\u001b[2J":2}\n' >escape.jsonl
exits 65 "$ibid" run "$quick/step.yaml" escape.jsonl --set input.format=jsonl --model "$model"
holds "it is named" "$err" "duplicate key"
same "no escape in messages" "" "$(tr -d '[:print:]\n\357\277\275' <err.txt)"
exits 0 "$ibid" run "$quick/step.yaml" "$quick/samples.tsv" --model "$model" -o x.tsv --bundle x.tar
python3 "$root/test/cli/forge.py" x.tar escape.tar 'outcomes[0]["answers"][0]["text"] = "a\x1b[2J\x9bb"'
exits 0 "$ibid" show escape.tar LF-001
same "no escape in an answer" "" "$(tr -d '[:print:]\n\t\357\277\275' <out.txt)"
exits 3 "$ibid" diff x.tar escape.tar
holds "one of the two is wrong" "$out" "one step id with two results"
same "nor in a difference" "" "$(tr -d '[:print:]\n\t\357\277\275' <out.txt)"
done_ok
