# What HACKING.md says of the sources, read in the sources: where dependencies point, which file is the door to a library, how wide a line is.
# Each rule must find its fault in a copy that has one.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

sources() { (cd "$1" && find kernels runtime step test -name '*.cc' -o -name '*.h' -o -name '*.cu'); }
# includes TREE FOLDER: "FILE:#include ..." of what lies in the folder.
includes() { (cd "$1" && grep -rE '^#include' --include='*.cc' --include='*.h' --include='*.cu' "$2"); }

# Each prints what breaks it, in the tree that it is given.
downward() {
  includes "$1" kernels | grep -E '"(runtime|step|test)/' || true
  includes "$1" runtime | grep -E '"(step|test)/' || true
  includes "$1" step | grep -E '"test/' || true
}
no_gpu_in_cpu() {
  includes "$1" kernels/cpu | grep '"kernels/cuda/' || true
  { includes "$1" runtime; includes "$1" step; } | grep -E '"kernels/(cpu|cuda)/' || true
}
one_door() {
  local library door
  while read -r library door; do
    { includes "$1" kernels; includes "$1" runtime; includes "$1" step; includes "$1" test; } | grep -E "<$library" | grep -vE "^($door):" || true
  done <<'DOORS'
yaml-cpp/ step/yaml_tree.cc
openssl/ step/digest.cc
archive step/archive.cc
zlib step/gzip.cc
cublas kernels/cuda/gemm_cublas_open.h
catch2/ test/catch.h
boost/ test/simt/fibers.cc
DOORS
}
one_compiler() {
  (cd "$1" && grep -rlE '__CUDACC__|__CUDA_ARCH__' kernels runtime step) | grep -vxE 'kernels/(cuda/launch.h|cuda/mma.h|math.h)' || true
}
narrow() { (cd "$1" && sources . | xargs awk 'length > 140 && !/R"\(/ { print FILENAME ":" FNR ": " length }'); }

rules="downward no_gpu_in_cpu one_door one_compiler narrow"
checks=0
for rule in $rules; do
  found=$($rule "$root")
  [ -z "$found" ] || { echo "FAILED: $rule: $found" >&2; exit 1; }
  checks=$((checks + 1))
done

# fault RULE FILE LINE: the rule finds it, and only there.
fault() {
  rm -rf "$scratch/tree" && mkdir "$scratch/tree"
  (cd "$root" && tar -c $(sources .)) | tar -x -C "$scratch/tree"
  echo "$3" >>"$scratch/tree/$2"
  local found
  found=$($1 "$scratch/tree")
  [[ "$found" == "$2"* && "$found" != *$'\n'* ]] || { echo "FAILED: $1 does not find '$3' in $2: $found" >&2; exit 1; }
  checks=$((checks + 1))
}
fault downward kernels/ops.h '#include "runtime/error.h"'
fault downward runtime/model.cc '#include "step/bytes.h"'
fault no_gpu_in_cpu kernels/cpu/matmul.cc '#include "kernels/cuda/mma.h"'
fault no_gpu_in_cpu step/session.cc '#include "kernels/cpu/fpenv.h"'
fault one_door step/bundle.cc '#include <archive.h>'
fault one_door runtime/random_model.cc '#include <openssl/sha.h>'
fault one_compiler kernels/cuda/select.h '#ifdef __CUDACC__'
fault narrow step/main.cc "// $(printf 'x%.0s' $(seq 138))"
echo "$checks checks passed"
