#!/usr/bin/env bash
# The CUDA sources under the real compiler, on machines without a GPU.
#   ptx_test.sh compile   every kernels/cuda/*.cu for sm_80, sm_90 and PTX, with the build's own numeric flags; and CMake chooses the
#                         same architectures when it runs a second time
#   ptx_test.sh scan      reads the PTX: nothing but IEEE-754 operations rounded to nearest, in float and double
# Exit 77 where no CUDA toolkit is (CUDACXX, or nvcc in PATH). What was compiled is kept in IBID_BUILD and compiled again when a source
# or a flag changes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${IBID_BUILD:-$root/build}/cuda
flags=(-std=c++20 -O3 ${IBID_CUDA_NUMERIC_FLAGS:---fmad=false -prec-div=true -prec-sqrt=true -ftz=false} -Xcompiler -ffp-contract=off -I"$root")

nvcc=${CUDACXX:-$(command -v nvcc || true)}
if [ -z "$nvcc" ] || [ ! -x "$nvcc" ]; then
  echo "SKIPPED: no CUDA toolkit (nvcc): the kernels were run by the shim, not compiled for a GPU"
  exit 77
fi

# compile SOURCE FOLDER: leaves FOLDER/NAME.o and the PTX of both architectures beside it.
compile() {
  local name
  name=$(basename "$1" .cu)
  mkdir -p "$2/$name"
  "$nvcc" "${flags[@]}" -gencode arch=compute_80,code=sm_80 -gencode 'arch=compute_90,code=[sm_90,compute_90]' --keep --keep-dir "$2/$name" \
    --threads 2 -Xptxas -v -c "$1" -o "$2/$name.o" >"$2/$name.log" 2>&1 || { cat "$2/$name.log"; return 1; }
  mkdir -p "$2/ptx"
  local p
  for p in "$2/$name"/*.ptx; do mv "$p" "$2/ptx/$name-$(grep -o '^\.target [a-z0-9_]*' "$p" | cut -d' ' -f2).ptx"; done
  rm -rf "${2:?}/$name"
}

# What a compiled source depends on, in one number: itself, every header, the compiler and its flags.
stamp_of() {
  { "$nvcc" --version; printf '%s\n' "${flags[@]}"; cat "$1" "$root"/kernels/cuda/*.h "$root"/kernels/*.h; } | sha256sum
}

compile_all() {
  local sources=() source stamp name
  for source in "$root"/kernels/cuda/*.cu; do
    name=$(basename "$source" .cu)
    stamp=$(stamp_of "$source")
    [ "$(cat "$out/$name.stamp" 2>/dev/null)" = "$stamp" ] || sources+=("$source")
  done
  [ ${#sources[@]} -gt 0 ] || return 0
  mkdir -p "$out"
  for source in "${sources[@]}"; do
    name=$(basename "$source" .cu)
    rm -rf "$out/$name" "$out/$name.stamp" "$out"/ptx/"$name"-*.ptx
    stamp=$(stamp_of "$source")
    compile "$source" "$out"
    echo "$stamp" >"$out/$name.stamp"
  done
}

# faults FILE...: every line of PTX that is not allowed, with the rule that it breaks.
faults() {
  local rules=(
    'an approximation|\.approx'
    'denormals flushed to zero|\.ftz'
    'a fused multiply-add (none is written)|(^|[[:space:]])(fma|mad)\.[a-z.]*f(32|64)'
    'arithmetic that is not rounded to nearest|(^|[[:space:]])(add|sub|mul|div|sqrt|rcp)\.(rz|rm|rp|sat|full|f32|f64)'
    'a transcendental or reciprocal root|(^|[[:space:]])(ex2|lg2|sin|cos|tanh|rsqrt)\.'
    'a conversion that is not rounded to nearest|(^|[[:space:]])cvt\.(rz|rm|rp)\.f(32|64)'
    'an atomic operation on floats|(^|[[:space:]])(atom|red)\.[a-z0-9_.:]*f(16|32|64)'
    'a library function|call.*__nv_')
  local rule
  for rule in "${rules[@]}"; do grep -HnE -- "${rule#*|}" "$@" | sed "s/^/${rule%%|*}: /" || true; done
}

scan() {
  local found count
  found=$(faults "$out"/ptx/*.ptx)
  [ -z "$found" ] || { echo "$found" | head -n 40; echo "FAILED: the PTX holds what numerics v1 does not allow"; exit 1; }
  # A scan of nothing would find nothing.
  for need in 'mul\.rn\.f32' 'add\.rn\.f32' 'div\.rn\.f32' 'sqrt\.rn\.f32' 'cvt\.rn\.f32\.s64' 'mma\.sync'; do
    count=$(cat "$out"/ptx/*.ptx | grep -cE "$need" || true)
    echo "$need: $count"
    [ "$count" -gt 0 ] || { echo "FAILED: no $need anywhere: is this the PTX of the kernels?"; exit 1; }
  done
  # Negative control: a kernel with one fault of each kind, every one of which must be found.
  control=$(mktemp -d)                          # not local: the trap needs it at the end
  trap 'rm -rf "$control"' EXIT
  "$nvcc" -std=c++20 -O3 -ptx -arch=compute_80 -use_fast_math "$here/control.cu" -o "$control/fast.ptx"
  "$nvcc" -std=c++20 -O3 -ptx -arch=compute_80 "$here/control.cu" -o "$control/default.ptx"
  found=$(faults "$control"/*.ptx)
  for rule in 'an approximation' 'denormals flushed' 'a fused multiply-add' 'not rounded to nearest' 'a transcendental' 'an atomic operation on floats'; do
    # No pipe into grep -q: it leaves early, and the broken pipe would count as "not found".
    [[ $found == *"$rule"* ]] || { echo "FAILED: the control was not caught: $rule"; exit 1; }
  done
  echo "control: all faults found"
}

same_when_configured_twice() {
  local again run
  again=$(mktemp -d)
  for run in first second; do
    env -u CUDAARCHS CUDACXX="$nvcc" cmake -S "$root" -B "$again/build" -G Ninja -DIBID_TESTS=OFF -DIBID_CUDA=ON >"$again/$run.log" 2>&1 || { cat "$again/$run.log"; return 1; }
    grep -o 'CUDA: nvcc .* for 80-real .*,' "$again/$run.log" >"$again/$run" || { echo "FAILED: other architectures"; grep CUDA: "$again/$run.log"; return 1; }
  done
  cmp "$again/first" "$again/second" || { cat "$again/first" "$again/second"; return 1; }
  rm -rf "$again"
}

case "${1:-}" in
  compile)
    same_when_configured_twice
    compile_all
    for log in "$out"/*.log; do echo "$(basename "$log" .log): $(grep -c 'Used .* registers' "$log" || true) kernels, most registers $(grep -oE 'Used [0-9]+' "$log" | cut -d' ' -f2 | sort -n | tail -1), spilled bytes $(grep -oE '[0-9]+ bytes spill stores' "$log" | awk '{s+=$1} END {print s+0}')"; done
    ;;
  scan) compile_all; scan ;;
  *) echo "usage: ptx_test.sh compile|scan"; exit 2 ;;
esac
