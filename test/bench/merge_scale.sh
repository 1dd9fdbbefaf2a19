#!/usr/bin/env bash
# What merge, verify and show cost for a run of many records, measured on bundles that synthetic_shards.cc writes without a model.
#   test/bench/merge_scale.sh [FOLDER]      FOLDER (default: a temporary one) needs four times the bytes of the bundle
# Environment: RECORDS (1000000), SHARDS (100), PROMPT and ANSWER tokens of a record (120, 40), BUILD (build).
# Output, tab-separated: what, wall seconds, CPU seconds, peak MiB, bytes written. Everything is checked; exits 1 when something is wrong.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${BUILD:-$root/build} records=${RECORDS:-1000000} shards=${SHARDS:-100} prompt=${PROMPT:-120} answer=${ANSWER:-40}
ibid=$build/ibid tiny=$root/examples/models/biosample-tiny
if [ $# -gt 0 ]; then
  mkdir -p "$1"
  cd "$1"
else
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  cd "$scratch"
fi

fail() { echo "merge_scale: $*" >&2; exit 1; }
# measure WHAT FILE COMMAND...: a line about it; FILE is what it writes ("-": nothing). Its stdout goes to said.txt.
measure() {
  local what=$1 file=$2 bytes=-
  shift 2
  python3 - "$what" "$@" >figures.txt <<'PY' || fail "$what failed: $*"
import os, resource, subprocess, sys, time
begin = time.monotonic()
with open("said.txt", "w") as said: code = subprocess.call(sys.argv[2:], stdout=said)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(sys.argv[1], f"{time.monotonic() - begin:.2f}", f"{used.ru_utime + used.ru_stime:.2f}", f"{used.ru_maxrss / 1024:.0f}", sep="\t")
sys.exit(code)
PY
  [ "$file" = - ] || bytes=$(stat -c %s "$file")
  printf '%s\t%s\n' "$(cat figures.txt)" "$bytes"
}

printf 'what\twall s\tCPU s\tpeak MiB\tbytes\n'
[ -s "part-$shards.ibid.tar" ] || measure "make $shards shards of $records records" input.tsv "$build/test/synthetic_shards" . "$records" "$shards" "$prompt" "$answer"
parts=()
for ((i = shards; i >= 1; i--)); do parts+=("part-$i.ibid.tar"); done
measure "merge" whole.ibid.tar "$ibid" merge "${parts[@]}" -o rows.tsv --bundle whole.ibid.tar --quiet
mkdir -p pieces
[ -s "pieces/part-$shards.ibid.tar" ] || "$build/test/synthetic_shards" pieces "$records" "$shards" "$prompt" "$answer" pieces
measure "merge of pieces" again.ibid.tar "$ibid" merge "${parts[@]/#/pieces/}" --input input.tsv -o again.tsv --bundle again.ibid.tar --quiet
cmp whole.ibid.tar again.ibid.tar && cmp rows.tsv again.tsv || fail "pieces and shards give different files"
rm -rf pieces again.*
[ "$(wc -l <rows.tsv)" = $((records + 1)) ] || fail "the merge wrote $(wc -l <rows.tsv) lines for $records records"
measure "verify" - "$ibid" verify whole.ibid.tar
grep -q '^sound' said.txt || fail "verify: $(cat said.txt)"
measure "show the last record" - "$ibid" show whole.ibid.tar "REC-$records"
grep -q "number $records of $records" said.txt || fail "show: $(head -n 5 said.txt)"
# One shard of as many as there are records reads all of the input, twice, and answers one record.
sed "s/sha256:a*/$("$ibid" pin "$tiny" | sed -n 's/^ *digest: //p')/" step.yaml >tiny.yaml
printf 'on_error: record\nmax_errors: 1\n' >>tiny.yaml
measure "a shard reads the input" - "$ibid" run tiny.yaml input.tsv --model "$tiny" --set decoding.context=512 --set decoding.max_tokens=8 --shard "$records/$records" -o /dev/null --bundle one.ibid.tar --quiet --threads 1
if command -v skopeo >/dev/null; then
  measure "skopeo copies it to a folder" - skopeo copy --quiet "oci-archive:whole.ibid.tar" "dir:$PWD/copied"
  rm -rf copied
else
  echo "skopeo is not here: its copy was not measured" >&2
fi
printf '%s\n' "bundle: $(($(stat -c %s whole.ibid.tar) / records)) bytes for a record; sha256 $(sha256sum <whole.ibid.tar | cut -c 1-64)"
