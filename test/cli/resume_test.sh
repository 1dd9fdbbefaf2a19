# --resume and --cache: a run that was killed, interrupted or ran out of disk goes on and ends with the same bytes; a cache is
# shared by many processes, healed when damaged, and never read by rerun.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
{ printf 'sample\tannotation\n'; for i in $(seq 1 60); do printf 'S%d\tliver bx no %d, %dyo F, HCC, bulk RNAseq\n' "$i" "$i" "$((20 + i))"; done; } >in.tsv
step=$root/examples/quickstart/step.yaml
run() { "$ibid" run "$step" in.tsv --model "$model" --quiet --threads 1 --batch 4 "$@"; }
recorded() { python3 -c 'import json, sys; print(json.load(open("record.json"))[sys.argv[1]])' "$1"; }
reused() { recorded reused_answers; }
same_bytes() { cmp a.tsv b.tsv || fail "$1: rows differ"; cmp a.tar b.tar || fail "$1: bundles differ"; checks=$((checks + 2)); }
run -o a.tsv --bundle a.tar

# killer.py SIGNAL BYTES PATH COMMAND...: starts the command, waits until the file or folder PATH holds that many bytes, sends the
# signal, and checks that the command died by it within 5 s.
cat >killer.py <<'PY'
import os, signal, subprocess, sys, time
number, size, path, command = getattr(signal, "SIG" + sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
def held():
    if os.path.isdir(path): return sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(path) for f in fs if not f.startswith(".tmp"))
    return os.path.getsize(path) if os.path.exists(path) else 0
start = signal.SIG_DFL
run = subprocess.Popen(command, preexec_fn=lambda: [signal.signal(s, start) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)], stderr=open("err.txt", "w"))
while held() < size:
    assert run.poll() is None, "the run ended before the signal"
    time.sleep(0.002)
sent = time.time()
run.send_signal(number)
code = run.wait(timeout=20)
assert code == -number, f"died with {code} instead of by {number}"
assert time.time() - sent < 5, "took more than 5 s to stop"
PY
command() { echo "$ibid" run "$step" in.tsv --model "$model" --quiet --threads 1 --batch 4 -o b.tsv --bundle b.tar; }

# kill -9, again and again on one journal, and once with a tail that is torn further.
echo before >b.tsv
for bytes in 1 3000 9000 20000 35000; do
  python3 killer.py KILL "$bytes" .b.tsv.ibid-journal $(command) --resume
  same "kill -9 publishes nothing" before "$(cat b.tsv)"
  [ -f .b.tsv.ibid-journal ] || fail "no journal is left"
  if [ "$bytes" = 9000 ]; then head -c 700 .b.tsv.ibid-journal | tail -c 600 >tail; cat tail >>.b.tsv.ibid-journal; fi
done
run -o b.tsv --bundle b.tar --resume --run-record record.json
same_bytes "after kill -9"
[ "$(reused)" -ge 20 ] || fail "only $(reused) answers were reused"
same "the journal is gone" "" "$(find . -name '*.ibid-journal')"
rm -f .b.tsv.*.ibid-tmp .b.tar.*.ibid-tmp            # what kill -9 leaves

# The signals of schedulers and people: the same, and no temporary file stays.
for signal in TERM INT HUP USR1 USR2 XCPU; do
  rm -f b.tsv b.tar
  python3 killer.py "$signal" 4000 .b.tsv.ibid-journal $(command) --resume
  same "SIG$signal publishes nothing" "" "$(ls b.tsv b.tar 2>/dev/null || true)"
  same "SIG$signal leaves no temporary file" "" "$(find . -name '*.ibid-tmp')"
  last=$(cat err.txt)
  run -o b.tsv --bundle b.tar --resume --run-record record.json
  same_bytes "after SIG$signal"
  [ "$(reused)" -gt 0 ] || fail "SIG$signal: nothing was reused"
  # A step of the engine may take longer than the program waits for; then nobody has counted.
  [ "$last" = "ibid: error: interrupted: the finished answers are kept in ./.b.tsv.ibid-journal; the same command goes on from there" ] ||
    same "its last words" "ibid: error: interrupted: $(reused) answers are kept in ./.b.tsv.ibid-journal; the same command goes on from there" "$last"
done

# Weights that are written to while they are read: no answer of the mixture is published or kept, and nobody can tell a touch from one that was
# put back. Another model that is moved into their place changes nothing; what became shorter is told, and no temporary file stays.
# meddled CODES ACTION ARGUMENTS...: runs on a copy of the model, and does ACTION in it when the journal has answers.
meddled() {
  rm -rf copy b.tsv b.tar; cp -r "$model" copy
  local pid; code=0; "$ibid" run "$step" in.tsv --model copy --quiet --threads 1 --batch 4 -o b.tsv --bundle b.tar --resume "${@:3}" 2>err.txt & pid=$!
  until [ -n "$(find . -name .b.tsv.ibid-journal -size +6)" ]; do kill -0 $pid || fail "the run ended too early: $(cat err.txt)"; sleep 0.002; done
  (cd copy; eval "$2")
  wait $pid || code=$?
  [[ " $1 " == *" $code "* ]] || fail "exit $code, not $1, after: $2"
  checks=$((checks + 1))
  same "no temporary file after: $2" "" "$(find . -name '*.ibid-tmp')"
}
zeros='head -c 400000 /dev/zero | dd of=model.safetensors bs=400000 seek=100000 oflag=seek_bytes conv=notrunc iflag=fullblock status=none'
meddled 74 "$zeros"
holds "what happened" "$(cat err.txt)" "ibid: error: copy/model.safetensors: was written to, or touched, while it was read"
same "nothing is published" "" "$(ls b.tsv b.tar 2>/dev/null || true)"
run -o b.tsv --bundle b.tar --resume --run-record record.json
same_bytes "after weights that were written over"
[ "$(reused)" -gt 0 ] || fail "what was answered before is kept"
meddled 74 "cp model.safetensors kept; $zeros; sleep 0.05; dd if=kept of=model.safetensors conv=notrunc status=none"
same "put back, it is not trusted either" "" "$(ls b.tsv b.tar 2>/dev/null || true)"
run -o b.tsv --bundle b.tar --resume
same_bytes "after weights that were put back"
meddled 74 'touch model.safetensors'
run -o b.tsv --bundle b.tar --resume
same_bytes "touched"
moved="cp model.safetensors new; mv model.safetensors old; mv new model.safetensors; $zeros"
meddled 0 "$moved"
same_bytes "another model in its place"
meddled 74 "$moved" --embed-model
holds "which is not embedded" "$(cat err.txt)" "cannot be embedded: the model was replaced since it was opened"
same "nothing is published, either" "" "$(ls b.tsv b.tar 2>/dev/null || true)"
rm -f .b.tsv.ibid-journal
meddled "135 74" ': >model.safetensors'              # whichever comes first: a page that is gone, or an answer
[ "$code" = 135 ] && why="a file that was being read became shorter, or its disk failed (SIGBUS)" || why="copy/model.safetensors: was written to, or touched, while it was read"
same "in words" "ibid: error: $why" "$(head -n 1 err.txt)"
rm -f .b.tsv.ibid-journal

# A second run that ends before its first answer leaves the journal of the first one alone, as it does whatever its end looks like.
(umask 0; exec "$ibid" run "$step" in.tsv --model "$model" --quiet --threads 1 --batch 1 -o b.tsv --bundle b.tar --resume 2>err.txt) & pid=$!
until [ -e .b.tsv.ibid-journal ]; do kill -0 $pid || fail "the first run ended early"; sleep 0.002; done
trap 'kill -KILL $pid || true; rm -rf "$scratch"' EXIT   # what is stopped would outlive a test that fails, and hold what ctest reads open
kill -STOP $pid
same "a journal is its user's alone" 600 "$(stat -c %a .b.tsv.ibid-journal)"
truncate -s 48 .b.tsv.ibid-journal; printf torn >>.b.tsv.ibid-journal
"$ibid" run "$step" in.tsv --model "$model" --quiet -o b.tsv --bundle b.tar --resume 2>/dev/null & second=$!
until [ -n "$(find "/proc/$second/fd" -lname '*.ibid-journal' 2>/dev/null)" ]; do kill -0 $second || fail "the second run ended early"; sleep 0.002; done
kill -TERM $second; wait $second || true
same "the first run's journal" "52" "$(head -c 52 .b.tsv.ibid-journal | wc -c)"
same "its unfinished tail" torn "$(head -c 52 .b.tsv.ibid-journal | tail -c 4)"
# Nor does a run of another step take its place, nor one that is over.
exits 73 "$ibid" run "$step" in.tsv --model "$model" --quiet -o b.tsv --resume --set decoding.max_tokens=7
holds "whose journal it is" "$err" ".b.tsv.ibid-journal: is the journal of a run of another step that is not over"
head -n 3 in.tsv >three.tsv
"$ibid" run "$step" three.tsv --model "$model" --quiet -o b.tsv --bundle b.tar --resume
[ -e .b.tsv.ibid-journal ] || fail "a run that is over removed another's journal"
kill -KILL $pid; kill -CONT $pid 2>/dev/null || true; wait $pid || true
trap 'rm -rf "$scratch"' EXIT
rm -f .b.tsv.ibid-journal b.tsv b.tar

# A disk that fills (a limit on the size of files stands in for it): exit 74, and what was journalled is kept.
code=0; (ulimit -f 6; $(command) --resume) 2>err.txt || code=$?
same "a full disk" 74 "$code"
holds "what to do" "$(cat err.txt)" "--resume"
run -o b.tsv --bundle b.tar --resume --run-record record.json
same_bytes "after a full disk"
[ "$(reused)" -ge 2 ] || fail "a full disk: nothing was reused"

# A journal of another step is not used, and kept under another name; --resume is harmless where there is nothing to resume, and on a stream.
for max in 109 110; do
  python3 killer.py KILL 4000 .b.tsv.ibid-journal $(command) --resume --set decoding.max_tokens=$max
  cp .b.tsv.ibid-journal journal.$max
  exits 0 "$ibid" run "$step" in.tsv --model "$model" --threads 1 --batch 4 -o b.tsv --bundle b.tar --resume --run-record record.json
  same_bytes "a journal of another step"
  same "nothing of it is used" 0 "$(reused)"
  holds "a warning says so" "$err" "warning: the journal ./.b.tsv.ibid-journal is of another step, or damaged: it is kept as .b.tsv.ibid-journal."
  old=$(sed -n 's/.*it is kept as \([^,]*\),.*/\1/p' <<<"$err")
  cmp "$old" journal.$max || fail "the journal of another step is lost"
done
same "each has its own name" 2 "$(ls .b.tsv.ibid-journal.*.old | wc -l)"
# One that holds no answer replaces nothing.
head -c 48 journal.109 >.b.tsv.ibid-journal
run -o b.tsv --bundle b.tar --resume
cmp "$old" journal.110 || fail "a journal without answers replaced another"
# And the answers are there for who goes back to it.
run -o b.tsv --bundle b.tar --resume --set decoding.max_tokens=110 --run-record record.json
[ "$(reused)" -gt 0 ] || fail "nothing of the old journal was used by its own step"
same "which is done with it" 1 "$(ls .b.tsv.ibid-journal.*.old | wc -l)"
rm .b.tsv.ibid-journal.*.old
checks=$((checks + 4))
run --resume >b.tsv
cmp a.tsv b.tsv || fail "--resume to a pipe"
rm -f .*.ibid-tmp

# The cache is the journal too.
python3 killer.py KILL 9000 cache $(command) --resume --cache cache
run -o b.tsv --bundle b.tar --resume --cache cache --run-record record.json
same_bytes "a cache after kill -9"
[ "$(reused)" -ge 4 ] || fail "the cache was not used"
run -o b.tsv --bundle b.tar --cache cache --run-record record.json
same_bytes "a warm cache"
same "every answer comes from it" 60 "$(reused)"
same "so the weights are not loaded" "0 0" "$(recorded weight_bytes) $(recorded steps)"
same "no journal beside it" "" "$(find . -name '*.ibid-journal')"
rm -f .*.ibid-tmp

python3 killer.py TERM 3000 other-cache $(command) --cache other-cache --log-format json
python3 -c 'import json, sys; e = json.load(open("err.txt")); print(e["level"], e["message"])' >last.txt
run -o b.tsv --bundle b.tar --cache other-cache --run-record record.json
same "a cache keeps them, too" "error interrupted: the finished answers are kept in other-cache; the same command goes on from there" "$(cat last.txt)"
rm -r other-cache

# Damage is found and healed.
python3 - <<'PY'
import glob
for path in sorted(glob.glob("cache/ibid-answers-1/*/*"))[:30]:
    data = bytearray(open(path, "rb").read())
    data[len(data) // 2] ^= 1
    open(path, "wb").write(data)
PY
run -o b.tsv --bundle b.tar --cache cache --run-record record.json
same_bytes "a damaged cache"
same "the damaged answers are not used" 30 "$(reused)"
[ "$(recorded weight_bytes)" -gt 1000000 ] || fail "answers were computed without weights"
run -o b.tsv --bundle b.tar --cache cache --run-record record.json
same "and are healed" 60 "$(reused)"

# Other weights with the same tokenizer find every answer, and nothing of it may come out.
cp -r "$model" other
python3 -c 'd = open("other/model.safetensors", "r+b"); d.seek(-1, 2); b = d.read(1)[0]; d.seek(-1, 2); d.write(bytes([b ^ 1]))'
exits 65 "$ibid" run "$step" in.tsv --model other --cache cache --bundle other.tar
holds "the weights are others" "$err" "not the model that the step pins"
same "no row came out" "" "$out"
same "no bundle either" "" "$(ls other.tar 2>/dev/null || true)"

# Many processes on one new cache; shards on a warm one.
for p in 1 2 3 4; do run -o "c$p.tsv" --bundle "c$p.tar" --cache shared & pids="${pids:-} $!"; done
for pid in $pids; do wait "$pid" || fail "a run on the shared cache failed"; done
for p in 1 2 3 4; do cmp a.tsv "c$p.tsv" && cmp a.tar "c$p.tar" || fail "process $p on the shared cache"; checks=$((checks + 1)); done
for i in 1 2 3; do run -o "s$i.tsv" --bundle "s$i.tar" --cache shared --shard "$i/3" --run-record record.json; same "shard $i is all there" 20 "$(reused)"; done
"$ibid" merge s3.tar s1.tar s2.tar -o b.tsv --bundle b.tar --quiet
same_bytes "shards from a cache"

# The control: an entry that is forged with a right seal does come out of run, and rerun, which reads no cache, finds it.
python3 - <<'PY'
import glob, hashlib
path = sorted(glob.glob("cache/ibid-answers-1/*/*"))[0]
data = open(path, "rb").read()
answer = data[44:-32].replace(b'"text":"', b'"text":"FORGED ', 1)
head = data[:8] + len(answer).to_bytes(4, "little") + data[12:44]
open(path, "wb").write(head + answer + hashlib.sha256(head + answer).digest())
PY
run -o b.tsv --bundle b.tar --cache cache
holds "a forgery is believed by run" "$(cat b.tsv)" "FORGED"
exits 3 "$ibid" rerun b.tar --model "$model"
holds "and found by rerun" "$out" "1 differ"
exits 2 "$ibid" rerun a.tar --model "$model" --cache cache

exits 2 "$ibid" run "$step" in.tsv --model "$model" -o b.tsv --cache cache --cache-size 1M
exits 2 "$ibid" run "$step" in.tsv --model "$model" -o b.tsv --cache-size 1G
exits 73 "$ibid" run "$step" in.tsv --model "$model" -o b.tsv --cache no/such/folder
done_ok
