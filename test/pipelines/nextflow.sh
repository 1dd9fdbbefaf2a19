# Sourced by the tests that run a real Nextflow: the engine, ibid in PATH, and one way to run the example's pipeline.
. "$(dirname "${BASH_SOURCE[0]}")/../cli/lib.sh"
export IBID_BUILD IBID_INSTALL=no
IBID_BUILD=$(dirname "$ibid")
. "$root/examples/lib/build.sh"
. "$root/examples/lib/tools.sh"
need_nextflow 2>fetch.txt || { echo "SKIPPED: Nextflow cannot be had: $(tail -n 1 fetch.txt)"; exit 77; }
quick=$root/examples/quickstart
mkdir bin
ln -s "$ibid" bin/ibid
export PATH=$scratch/bin:$PATH

# pipeline CODE ARGUMENT...: runs it here and compares its exit code. What it says is in log.txt; rows has NAME STATUS EXIT ATTEMPT of each task.
pipeline() {
  local want=$1 code=0
  shift
  rm -f trace.txt
  "$nextflow" -q -c "$scratch/trace.config" run "$root/examples/nextflow" -ansi-log false --multiqc false -with-trace trace.txt "$@" >log.txt 2>&1 || code=$?
  checks=$((checks + 1)); [ "$code" = "$want" ] || { cat log.txt >&2; fail "exit $code instead of $want: $*"; }
  rows=$(tail -n +2 trace.txt | sort)
}
echo "trace.fields = 'name,status,exit,attempt'" >trace.config
# rows_of PROCESS: its rows without the name.
rows_of() { awk -F '\t' -v process="$1" 'index($1, process) == 1' <<<"$rows" | cut -f 2-; }
# lines N TEXT: TEXT, N times.
lines() { for ((i = 0; i < $1; i++)); do printf '%s\n' "$2"; done; }
