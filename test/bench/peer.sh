#!/usr/bin/env bash
# Compares ibid with llama.cpp on this machine: same shapes, same thread count, both measured in turn within one run.
#   test/bench/peer.sh [FOLDER]        FOLDER keeps the peer's build and model files (about 6 GB); default build/peer
# Environment: IBID (the program), THREADS (2), ROUNDS (3), SHAPES ("qwen2-0.5b llama-1b"), ISA (what the machine has; avx512, avxvnni
# or avx2: neither program uses more).
#
# llama.cpp comes as the source package of llama-cpp-python (PyPI, pinned below), built with its own defaults, which are native
# flags unless ISA says which, and one line added (mend_peer): without it gcc 12's build dies of an illegal instruction where there is AMX. Its models hold random weights of the same shapes in its own formats: Q8_0 beside w8a16, BF16 beside w16a16.
# Output, tab-separated: shape, pair, what, ibid and llama.cpp in tokens/s (medians), ratio, bar, verdict. Exits 1 if a bar is missed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
peer=${1:-$root/build/peer}
threads=${THREADS:-2} rounds=${ROUNDS:-3} shapes=${SHAPES:-qwen2-0.5b llama-1b}
ibid=${IBID:-$root/build/ibid} isa=${ISA:-}
build=$peer/build${isa:+-$isa}
package=llama-cpp-python==0.3.36
prompt=512 answer=64 depth=16 sequences=32        # what `ibid bench` measures

say() { printf '%s\n' "$*" >&2; }

# gcc 12 believes that _tile_loadconfig reads 8 of its 64 bytes and drops the stores of the others. The fence keeps them.
mend_peer() {
  local file
  file=$(echo "$peer"/llama_cpp_python-*/vendor/llama.cpp/ggml/src/ggml-cpu/amx/mmq.cpp)
  grep -q 'asm volatile.*"r"(&tc)' "$file" || sed -i 's|^    _tile_loadconfig(&tc);|    asm volatile("" : : "r"(\&tc) : "memory");\n&|' "$file"
}

# The CMake options for what ISA names, one in a line; avx512 as in Zen 4 and in Ice Lake but for BF16, which only helps the peer.
instructions() {
  [ -n "$isa" ] || return 0
  printf -- '-DGGML_%s\n' NATIVE=OFF SSE42=ON AVX=ON AVX2=ON FMA=ON F16C=ON BMI2=ON
  case $isa in
    avxvnni) printf -- '-DGGML_AVX_VNNI=ON\n' ;;
    avx512) printf -- '-DGGML_AVX512%s=ON\n' '' _VNNI _VBMI _BF16 ;;
  esac
}

build_peer() {
  [ -x "$build/bin/llama-batched-bench" ] && return 0
  say "building llama.cpp from $package in $build (10 to 30 minutes)"
  if ! [ -d "$peer/venv" ]; then
    python3 -m venv "$peer/venv"
    "$peer/venv/bin/pip" install -q scikit-build-core gguf numpy
    (cd "$peer" && venv/bin/pip download -q --no-binary :all: --no-build-isolation --no-deps "$package" && tar xzf llama_cpp_python-*.tar.gz)
  fi
  mend_peer
  mapfile -t options < <(instructions)
  cmake -S "$peer"/llama_cpp_python-*/vendor/llama.cpp -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF "${options[@]}" >"$build.log" 2>&1
  cmake --build "$build" --target llama-bench llama-batched-bench >>"$build.log" 2>&1 || { tail -n 30 "$build.log" >&2; exit 1; }
}

# make_model SHAPE TYPE: prints the path.
make_model() {
  local file=$peer/models/$1-$2.gguf
  if [ ! -s "$file" ]; then
    say "writing $file"
    mkdir -p "$peer/models"
    "$peer/venv/bin/python" "$here/random_gguf.py" "$1" "$2" "$file.part"
    mv "$file.part" "$file"
  fi
  printf '%s\n' "$file"
}

# Each prints lines "what<TAB>tokens per second".
measure_ibid() { "$ibid" bench --shape "$1" --profile "$2" --threads "$threads" ${isa:+--isa "$isa"} --repeat 1 --format tsv 2>/dev/null | cut -f 1,2 | grep -E '^(prefill_512|decode_1|decode_32)	'; }
measure_peer() {
  local model=$1
  "$build/bin/llama-bench" -m "$model" -t "$threads" -p "$prompt" -n 0 -r 1 -o jsonl 2>/dev/null |
    python3 -c 'import json, sys; print("prefill_512", json.loads(sys.stdin.readline())["avg_ts"], sep="\t")'
  "$build/bin/llama-bench" -m "$model" -t "$threads" -p 0 -n "$answer" -d "$depth" -r 1 -o jsonl 2>/dev/null |
    python3 -c 'import json, sys; print("decode_1", json.loads(sys.stdin.readline())["avg_ts"], sep="\t")'
  "$build/bin/llama-batched-bench" -m "$model" -t "$threads" -c 4096 -npp "$depth" -ntg "$answer" -npl "$sequences" --output-format jsonl 2>/dev/null |
    python3 -c 'import json, sys
rows = [json.loads(line) for line in sys.stdin if line.startswith("{")]
print("decode_32", rows[-1]["speed_tg"], sep="\t")'
}

median_of() { awk -F '\t' -v what="$1" '$1 == what { print $2 }' "$2" | sort -g | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'; }

# compare SHAPE PROFILE TYPE "what bar"...
compare() {
  local shape=$1 profile=$2 type=$3 model ours theirs what bar a b
  shift 3
  model=$(make_model "$shape" "$type")
  ours=$(mktemp) theirs=$(mktemp)
  for ((i = 1; i <= rounds; i++)); do
    say "$shape, $profile and $type: round $i of $rounds"
    measure_ibid "$shape" "$profile" >>"$ours"
    measure_peer "$model" >>"$theirs"
  done
  for pair in "$@"; do
    what=${pair% *} bar=${pair#* }
    a=$(median_of "$what" "$ours") b=$(median_of "$what" "$theirs")
    [ -n "$a" ] && [ -n "$b" ] || { say "no figure for $what: ibid '$a', llama.cpp '$b'"; exit 1; }
    awk -v s="$shape" -v p="$profile/$type" -v w="$what" -v a="$a" -v b="$b" -v bar="$bar" 'BEGIN {
      ratio = a / b
      printf "%s\t%s\t%s\t%.1f\t%.1f\t%.2f\t%s\t%s\n", s, p, w, a, b, ratio, (bar == 0 ? "-" : ">= " bar), (bar == 0 ? "-" : (ratio >= bar ? "yes" : "NO")) }' | tee -a "$results"
  done
  rm -f "$ours" "$theirs"
}

case $isa in '' | avx2 | avxvnni | avx512) ;; *) say "ISA is avx512, avxvnni or avx2, not $isa"; exit 2 ;; esac
[ -x "$ibid" ] || { say "no program at $ibid: build it, or set IBID"; exit 2; }
mkdir -p "$peer"
build_peer
results=$(mktemp)
trap 'rm -f "$results"' EXIT
printf 'shape\tpair\twhat\tibid\tllama.cpp\tratio\tbar\tmet\n'
for shape in $shapes; do
  compare "$shape" w8a16 q8_0 "prefill_512 1.5" "decode_1 1" "decode_32 2"
  compare "$shape" w16a16 bf16 "prefill_512 0" "decode_1 1" "decode_32 1.3"
done
! grep -q '	NO$' "$results"
