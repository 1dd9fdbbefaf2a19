# What HACKING.md says of the sources, read in the sources: where dependencies point, which file is the door to a library, how wide a line is.
# Each rule must find its fault in a copy that has one.
set -euo pipefail
export LC_ALL=C                                        # columns are bytes
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

# In the tree where they run: every source, and "FILE:#include ..." of those in the folders.
sources() { find "$@" -type f \( -name '*.cc' -o -name '*.h' -o -name '*.cu' \) ! -name '.*' -print0; }
# lines PATTERN FOLDER...: "FILE:LINE" of what matches; grep ends with 1 where nothing does.
lines() { local pattern=$1; shift; sources "$@" | xargs -0 sh -c 'grep -HE -- "$0" "$@" || [ $? = 1 ]' "$pattern"; }
includes() { lines '^[[:space:]]*#[[:space:]]*include' "$@"; }
without() { grep -vE "$1" || true; }
with() { grep -E "$1" || true; }

# Each prints what breaks it.
downward() {
  includes kernels | with '"(runtime|step|test)/'
  includes runtime | with '"(step|test)/'
  includes step | with '"test/'
  includes kernels runtime step test | with '"\.\.?/'
}
devices_apart() {
  includes kernels/cpu | with '"kernels/cuda/'
  includes kernels/cuda | with '"kernels/cpu/' | without '"kernels/cpu/fpenv.h"'
  includes runtime step | with '"kernels/(cpu|cuda)/'
}
one_door() {
  local library door
  while read -r library door; do
    includes kernels runtime step test | with "[<\"]$library" | without "^($door):"
  done <<'DOORS'
yaml-cpp/ step/yaml_tree.cc
openssl/ step/digest.cc
archive(_entry)?.h step/archive.cc
zlib.h step/gzip.cc
cublas(Lt)?.h kernels/cuda/gemm_cublas_open.h
kernels/cuda/gemm_cublas_open.h kernels/cuda/gemm_cublas(_open)?.c[cu]|test/(simt|cublas|gpu)/[a-z_]*.cc
catch2/ test/catch.h
boost/ test/simt/fibers.cc
DOORS
}
one_compiler() { lines '__CUDACC__|__CUDA_ARCH__' kernels runtime step | without '^kernels/(cuda/launch.h|cuda/mma.h|math.h):'; }
narrow() { sources kernels runtime step test | xargs -0 awk 'length > 140 && !/^ *\(?R"\(/ { print FILENAME ":" FNR ": " length }'; }

cd "$root"
checks=0
! lines '(' step >/dev/null 2>&1 && ! lines x nowhere >/dev/null 2>&1 || fail "what cannot be read is passed over"
for rule in downward devices_apart one_door one_compiler narrow; do
  found=$($rule) || fail "$rule cannot read the sources"
  [ -z "$found" ] || fail "$rule: $found"
  checks=$((checks + 1))
done

mkdir "$scratch/tree"
sources kernels runtime step test | tar -c --null -T - | tar -x -C "$scratch/tree"
cd "$scratch/tree"
# fault RULE FILE LINE: the rule finds it, and nothing else.
fault() {
  cp "$2" "$scratch/whole"
  echo "$3" >>"$2"
  local found
  found=$($1) || fail "$1 cannot read the sources"
  [[ "$found" == "$2"* && "$found" != *$'\n'* ]] || fail "$1 does not find '$3' in $2: $found"
  cp "$scratch/whole" "$2"
  checks=$((checks + 1))
}
fault downward kernels/ops.h '#include "runtime/error.h"'
fault downward kernels/ops.h '  # include "step/bytes.h"'
fault downward runtime/model.cc '#include "step/bytes.h"'
fault downward runtime/model.cc '#include "../kernels/ops.h"'
fault downward step/main.cc '#include "test/catch.h"'
fault devices_apart kernels/cpu/matmul.cc '#include "kernels/cuda/mma.h"'
fault devices_apart kernels/cuda/matmul.cu '#include "kernels/cpu/matmul.h"'
fault devices_apart step/session.cc '#include "kernels/cpu/fpenv.h"'
for header in yaml-cpp/yaml.h openssl/sha.h archive.h zlib.h cublasLt.h catch2/catch.hpp boost/context/fiber.hpp; do
  fault one_door step/bundle.cc "#include <$header>"
done
fault one_door kernels/cuda/matmul.cu '#include "kernels/cuda/gemm_cublas_open.h"'
fault one_compiler kernels/cuda/select.h '#ifdef __CUDACC__'
fault narrow step/main.cc "// $(printf 'x%.0s' $(seq 138))"
fault narrow step/main.cc "$(printf '%150s' '"R"("')"
echo "$checks checks passed"
