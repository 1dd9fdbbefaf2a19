# Interrupted and killed runs: they die by the signal, publish nothing, and the next run is not in their way.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
quick=$root/examples/quickstart
{ head -n 1 "$quick/samples.tsv"; for i in $(seq 1 4000); do printf 'S%d\tliver biopsy number %d, 54yo F, HCC, bulk RNAseq\n' "$i" "$i"; done; } >many.tsv
echo before >out.tsv

for signal in TERM INT; do
  # A shell starts background jobs with SIGINT ignored; python gives the child the default back.
  python3 - "$signal" "$ibid" run "$quick/step.yaml" many.tsv --model "$model" -o out.tsv --bundle out.tar --quiet --threads 1 --chunk 64 <<'PY'
import glob, os, signal, subprocess, sys, time
name, command = sys.argv[1], sys.argv[2:]
number = getattr(signal, "SIG" + name)
run = subprocess.Popen(command, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL), stderr=open("err.txt", "w"))
while not any(os.path.getsize(f) for f in glob.glob(".out.tsv.*.ibid-tmp")):
    assert run.poll() is None, "the run ended before the signal"
    time.sleep(0.02)
start = time.time()
run.send_signal(number)
code = run.wait(timeout=20)
assert code == -number, f"died with {code} instead of by SIG{name}"
assert time.time() - start < 5, "took more than 5 s to stop"
PY
  same "SIG$signal: its last words" "ibid: error: interrupted: nothing is kept (no --resume)" "$(cat err.txt)"
  same "SIG$signal leaves the old output" before "$(cat out.tsv)"
  same "SIG$signal leaves no new file" "many.tsv out.tsv" "$(ls -A | grep -v -e out.txt -e err.txt | tr '\n' ' ' | sed 's/ $//')"
done

# What was ignored when the run began stays ignored: nohup outlives its terminal, and Ctrl-C leaves a shell's background jobs alone.
head -n 200 many.tsv >some.tsv
for signal in HUP INT; do
  (trap '' "$signal"; exec "$ibid" run "$quick/step.yaml" some.tsv --model "$model" -o nohup.tsv --quiet --threads 1) & pid=$!
  for _ in $(seq 200); do ls .nohup.tsv.*.ibid-tmp >/dev/null 2>&1 && break; sleep 0.02; done
  kill -s "$signal" "$pid" || fail "the run ended before SIG$signal"
  code=0; wait "$pid" || code=$?
  same "an ignored SIG$signal" "0 200" "$code $(wc -l <nohup.tsv 2>/dev/null)"
  rm nohup.tsv
done
rm some.tsv

# Somebody else's alarm is a death by it, which leaves nothing: it was taken for our own, and the run went on without its temporary files.
exits 142 "$ibid" run "$quick/step.yaml" many.tsv --model "$model" -o out.tsv --bundle out.tar --quiet --threads 1 & exits=$!
until ls .out.tsv.*.ibid-tmp >/dev/null 2>&1; do kill -0 $exits || fail "the run ended early"; sleep 0.01; done
pkill -ALRM -P $exits -x ibid
wait $exits || fail "an alarm from outside"
same "SIGALRM leaves the old output" before "$(cat out.tsv)"

# What waits for a FIFO to be opened ends by the signal, too.
mkfifo waits
for command in "run waits many.tsv --model $model" "run $quick/step.yaml waits --model $model --cache none" "freeze $quick/step.yaml -o waits"; do
  "$ibid" $command >/dev/null 2>err.txt & pid=$!
  until grep -q '^State:.S' "/proc/$pid/status"; do kill -0 $pid; sleep 0.01; done
  kill -TERM $pid
  code=0; wait $pid || code=$?
  same "SIGTERM to: $command" 143 "$code"
  [[ "$command" != *--cache* ]] || holds "its last words" "$(cat err.txt)" "interrupted: the finished answers are kept in none; the same command goes on from there"
done
rm -r waits none

# A run that is stuck, here in reading a pipe into which nobody writes, is ended all the same.
# SIGXCPU comes again with every second of CPU time, and means no more than the first; it leaves no core here.
ulimit -c 0
for signal in TERM USR2 XCPU; do
  python3 - "$signal" "$ibid" run "$quick/step.yaml" --model "$model" -o out.tsv --bundle out.tar --resume --quiet <<'PY'
import os, signal, subprocess, sys, time
number = getattr(signal, "SIG" + sys.argv[1])
run = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL), stderr=open("err.txt", "w"))
time.sleep(1)
assert run.poll() is None
start = time.time()
run.send_signal(number)
if number == signal.SIGXCPU:
    time.sleep(0.2)
    run.send_signal(number)
code = run.wait(timeout=20)
assert code == -number, f"died with {code}"
assert time.time() - start < 5, "took more than 5 s to stop"
PY
  case $(cat err.txt) in            # it may not have come to reading yet
    "ibid: error: interrupted: the finished answers are kept in ./.out.tsv.ibid-journal; the same command goes on from there") ;;
    "ibid: error: interrupted: no answer was finished, so none is kept") ;;
    *) fail "a stuck run's last words: $(cat err.txt)" ;;
  esac
  same "SIG$signal to a stuck run leaves no new file" "many.tsv out.tsv" "$(ls -A | grep -v -e out.txt -e err.txt -e ibid-journal | tr '\n' ' ' | sed 's/ $//')"
done
rm -f .out.tsv.ibid-journal

# Any other signal ends it at once when it comes again: if it did not, each would begin the program's patience anew, and it never ended.
python3 - "$ibid" run "$quick/step.yaml" --model "$model" -o out.tsv --quiet <<'PY'
import glob, signal, subprocess, sys, time
run = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
while not glob.glob(".out.tsv.*.ibid-tmp"):              # it catches signals by then
    assert run.poll() is None
    time.sleep(0.01)
start = time.time()
while run.poll() is None and time.time() - start < 10:
    run.send_signal(signal.SIGTERM)
    time.sleep(0.2)
run.kill()
assert run.wait() == -signal.SIGTERM, f"died with {run.returncode}"
PY
checks=$((checks + 1))
rm -f .out.tsv.*.ibid-tmp                            # which nobody had the time to remove

"$ibid" run "$quick/step.yaml" many.tsv --model "$model" -o out.tsv --bundle out.tar --quiet --threads 1 --chunk 64 & pid=$!
until [ -n "$(find . -name '.out.tsv.*.ibid-tmp' -size +0)" ]; do kill -0 $pid || fail "the run ended before the kill"; sleep 0.02; done
kill -9 $pid; wait $pid 2>/dev/null || true
same "kill -9 leaves the old output" before "$(cat out.tsv)"
same "kill -9 leaves no bundle" "" "$(ls out.tar 2>/dev/null || true)"
head -n 4 many.tsv >few.tsv
exits 0 "$ibid" run "$quick/step.yaml" few.tsv --model "$model" -o out.tsv --bundle out.tar
same "the next run is whole" 4 "$(wc -l <out.tsv)"
exits 0 "$ibid" verify out.tar
done_ok
