#!/usr/bin/env bash
# Everything that only a GPU can answer, in one command; writes a report folder ($OUT, else ./gpu-report).
#   test/gpu/run.sh             builds into build-cuda for the GPU that is there, then runs all
#   IBID_BUILD=DIR              a build with CUDA that is ready (ibid, test/gpu_tests): nothing is built there
#   IBID_SMOLLM2=FILE           SmolLM2-135M-Instruct.Q4_1.gguf; without it, it is fetched, or that part is skipped by name
#   IBID_PART_SECONDS=N         a part that takes longer fails (1800); building may take as long as it does
#   IBID_QUICK=yes              without compute-sanitizer and the large shapes
# Exit: 0 all that ran passed (the last line says how many parts were skipped), 1 something failed (see summary.txt),
# 2 IBID_SMOLLM2 names no file, 69 no GPU.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

if ! command -v nvidia-smi >/dev/null || ! gpu=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null) || [ -z "$gpu" ]; then
  echo "no NVIDIA GPU on this machine: nothing was tested. Copy this repository to one and run test/gpu/run.sh there." >&2
  exit 69
fi

[ -z "${IBID_SMOLLM2:-}" ] || [ -f "$IBID_SMOLLM2" ] || { echo "IBID_SMOLLM2 names $IBID_SMOLLM2, which is not there" >&2; exit 2; }

report=${OUT:-$PWD/gpu-report}
mkdir -p "$report"
report=$(cd "$report" && pwd)
export report root
: >"$report/summary.txt"
failed=0 skipped=0 running= limit=${IBID_PART_SECONDS:-1800}
trap '[ -z "$running" ] || kill "$running" 2>/dev/null; exit 130' INT TERM
line() { echo "$*" | tee -a "$report/summary.txt"; }
# part NAME COMMAND...: runs it, keeps what it says in NAME.txt, and notes how it ended and how long it took.
part() {
  local name=$1 start=$SECONDS code=0; shift
  timeout -k 10 "$limit" bash -c '"$@"' bash "$@" >"$report/$name.txt" 2>&1 &
  running=$!
  wait "$running" || code=$?
  running=
  if [ "$code" = 124 ] || [ "$code" = 137 ]; then echo "took longer than $limit s (IBID_PART_SECONDS)" >>"$report/$name.txt"; fi
  if [ "$code" = 0 ]; then line "passed   $name ($((SECONDS - start)) s)"; else failed=1; line "FAILED   $name: exit $code ($((SECONDS - start)) s), see $name.txt"; tail -n 5 "$report/$name.txt"; fi
}
skip() { skipped=$((skipped + 1)); line "skipped  $*"; }

line "$gpu"
line "$(git -C "$root" log -1 --format='%h %s' 2>/dev/null || echo 'no git here')"

if [ -z "${IBID_BUILD:-}" ]; then
  export IBID_BUILD=$root/build-cuda
  (. "$root/examples/lib/build.sh" && need_packages "${build_packages[@]}" catch2 libboost-context-dev python3 python3-venv) || exit 1
  build_here() { . "$root/examples/lib/build.sh" && need_cuda &&
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DIBID_CUDA=ON -DIBID_TESTS=ON -DCMAKE_CUDA_ARCHITECTURES=native && ninja -C "$build" ibid gpu_tests; }
  export -f build_here
  limit=0 part build build_here
fi
ibid=$IBID_BUILD/ibid gpu_tests=$IBID_BUILD/test/gpu_tests
# cublasLt of a toolkit that pip put beside the build, where the machine has none of its own.
for libraries in "$IBID_BUILD"/cuda-toolkit/lib/python3*/site-packages/nvidia/cu13/lib; do
  [ -d "$libraries" ] && export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$libraries"
done
for program in "$ibid" "$gpu_tests"; do
  [ -x "$program" ] || { line "FAILED   no $program"; exit 1; }
done

part version "$ibid" --version --verbose
part selftest "$ibid" selftest --device cuda
part gpu_tests "$gpu_tests" -d yes -w NoAssertions       # a test that was skipped has asserted nothing, and fails here

# --- one step on both devices: the bundles have one id, and each reruns on the other ------------------------------------------
both_devices() {                                 # NAME MODEL STEP INPUT
  local at=$report/$1 model=$2 step=$3 input=$4 device
  mkdir -p "$at"
  for device in cpu cuda; do
    "$ibid" run "$step" "$input" --model "$model" --device $device -o "$at/$device.out" --bundle "$at/$device.tar" --run-record "$at/$device.json" --quiet || return 1
  done
  cmp "$at/cpu.out" "$at/cuda.out" || return 1
  "$ibid" diff "$at/cpu.tar" "$at/cuda.tar" || return 1
  "$ibid" rerun "$at/cpu.tar" --model "$model" --device cuda && "$ibid" rerun "$at/cuda.tar" --model "$model" --device cpu
}
export ibid
export -f both_devices
part tiny_step both_devices tiny "$root/examples/models/biosample-tiny" "$root/examples/quickstart/step.yaml" "$root/examples/quickstart/samples.tsv"
smollm2=${IBID_SMOLLM2:-$IBID_BUILD/models/SmolLM2-135M-Instruct.Q4_1.gguf}
if [ -z "${IBID_SMOLLM2:-}" ] && ! [ -f "$smollm2" ]; then
  (. "$root/examples/lib/build.sh"; . "$root/examples/lib/smollm2.sh"; obtain_smollm2) >"$report/fetch.txt" 2>&1
fi
if [ -f "$smollm2" ]; then
  part smollm2_step both_devices smollm2 "$smollm2" "$root/examples/smollm2/step.yaml" "$root/examples/smollm2/methods.jsonl"
else
  skip "smollm2_step: SmolLM2 cannot be had here (IBID_SMOLLM2)"
fi

# --- memory errors and races ----------------------------------------------------------------------------------------------
# TOOL: of every op and a small generation (selftest), then of sampling with the shipped model, with recorded steps and cublasLt's products.
sanitized() {
  local at=$report/$1 check=("$sanitizer" --tool "$1" --error-exitcode 1)
  local step=("$ibid" run "$root/examples/quickstart/step.yaml" "$root/examples/quickstart/samples.tsv" --model "$root/examples/models/biosample-tiny"
    --set decoding.method=sample --set decoding.temperature=0.8 --set decoding.top_k=40 --set decoding.top_p=0.9)
  mkdir -p "$at"
  "${check[@]}" "$ibid" selftest --device cuda && "${step[@]}" --device cpu -o "$at/cpu.out" &&
    "${check[@]}" "${step[@]}" --device cuda -o "$at/cuda.out" && cmp "$at/cpu.out" "$at/cuda.out"
}
export -f sanitized
if [ "${IBID_QUICK:-no}" = yes ]; then
  skip "memcheck: IBID_QUICK"
  skip "racecheck: IBID_QUICK"
elif sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null); then
  export sanitizer
  part memcheck sanitized memcheck
  part racecheck sanitized racecheck
else
  skip "memcheck: compute-sanitizer is not installed"
  skip "racecheck: compute-sanitizer is not installed"
fi

# --- speed, beside what this GPU reaches ------------------------------------------------------------------------------------
shapes="qwen2-0.5b llama-1b" options=() help=$("$ibid" bench --help)
if [ "${IBID_QUICK:-no}" != yes ]; then
  [[ "$help" != *llama-8b* ]] || shapes="$shapes llama-8b"
  [[ "$help" != *--sequences* ]] || options=(--prompt 4096 --sequences 64)
fi
for shape in $shapes; do
  for profile in w16a16 w8a16; do
    part "bench_${shape}_$profile" "$ibid" bench --device cuda --shape "$shape" --profile "$profile" ${options[@]+"${options[@]}"}
  done
done
cat "$report"/bench_*.txt

if [ "$failed" != 0 ]; then line "something FAILED"
elif [ "$skipped" != 0 ]; then line "all that ran passed; skipped: $skipped"
else line "all passed"; fi
exit "$failed"
