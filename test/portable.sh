#!/usr/bin/env bash
# The promise under other compilers and on another processor: ibid is built again, and each build must compute the golden digests and the
# very bytes that this machine's ordinary build writes for the quickstart.
#   test/portable.sh [gcc-O0] [gcc-Ofast] [clang-O0] [clang] [aarch64] [sanitizers] [fuzz]      (default: all)
# Not part of test/run.sh: each builds everything anew. aarch64 runs under emulation (qemu-user); its libraries are unpacked from Debian's
# packages into build/portable, nothing of another architecture is installed. sanitizers also runs the unit tests;
# fuzz gives hostile bytes to everything that reads files (test/fuzz).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. examples/lib/build.sh
out=$build/portable
[ $# -gt 0 ] || set -- gcc-O0 gcc-Ofast clang-O0 clang aarch64 sanitizers fuzz
need_packages "${build_packages[@]}"
build_ibid
reference=$IBID
mkdir -p "$out"

quickstart() {   # FOLDER PROGRAM...: leaves the answers and the bundle in FOLDER
  mkdir -p "$1"
  "${@:2}" run examples/quickstart/step.yaml examples/quickstart/samples.tsv --model examples/models/biosample-tiny \
    -o "$1/answers.tsv" --bundle "$1/answers.ibid.tar" --quiet
}

configure() { cmake -S . -B "$out/$1" -G Ninja -DIBID_CUDA=OFF -DIBID_TESTS=OFF "${@:2}" >"$out/$1.log" 2>&1 || { cat "$out/$1.log" >&2; return 1; }; }
compile() { ninja -C "$out/$1" "${@:2}" >"$out/$1.log" || { tail -n 40 "$out/$1.log" >&2; say "$1: does not compile"; return 1; }; }

# prove NAME PROGRAM...: golden digests of every instruction set, and the quickstart's bytes.
prove() {
  local name=$1
  shift
  "$@" selftest >"$out/$name.selftest" || { cat "$out/$name.selftest"; say "$name: selftest failed"; return 1; }
  grep -q '^scalar *all digests' "$out/$name.selftest" || { say "$name: selftest proved nothing"; return 1; }
  quickstart "$out/$name.answers" "$@"
  cmp "$out/reference/answers.tsv" "$out/$name.answers/answers.tsv"
  cmp "$out/reference/answers.ibid.tar" "$out/$name.answers/answers.ibid.tar"
  echo "$name: golden digests, and the quickstart's answers and bundle byte by byte"
}

# A folder with Debian's arm64 libraries, unpacked and not run.
unpack_arm64() {
  local root=$out/arm64-root packages=libyaml-cpp-dev,libssl-dev,libarchive-dev,zlib1g-dev,catch2,libboost-context-dev
  [ "$(cat "$root/complete" 2>/dev/null)" = "$packages" ] && return 0
  rm -rf "$root"
  mkdir "$root"
  mmdebstrap --quiet --variant=extract --architectures=arm64 --include=$packages --format=tar bookworm - | tar -x -C "$root" --exclude="./dev/*"
  echo "$packages" >"$root/complete"
}

# again NAME COMPILER FLAGS: with these flags and no build type's.
again() {
  configure "$1" -DCMAKE_BUILD_TYPE=None "-DCMAKE_CXX_COMPILER=$2" "-DCMAKE_CXX_FLAGS=$3"
  compile "$1" ibid
  prove "$1" "$out/$1/ibid"
}
try_gcc-O0() { again gcc-O0 g++ -O0; }
# What a builder's flags may say, and must not reach the arithmetic: fast-math, this machine's own instructions.
try_gcc-Ofast() { again gcc-Ofast g++ "-Ofast -march=native -DNDEBUG"; }
try_clang-O0() { need_packages clang; again clang-O0 clang++ -O0; }
try_clang() { need_packages clang; again clang clang++ "-O3 -DNDEBUG"; }

try_aarch64() {
  need_packages g++-aarch64-linux-gnu qemu-user-static mmdebstrap
  unpack_arm64
  local emulated=(qemu-aarch64-static -L "$out/arm64-root") ops=(matmul_test ops_test attention_test sample_test)
  configure aarch64 -DIBID_TESTS=ON -DCMAKE_BUILD_TYPE=Release -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
    -DCMAKE_SYSROOT="$out/arm64-root" -DCMAKE_FIND_ROOT_PATH="$out/arm64-root" -DCMAKE_FIND_ROOT_PATH_MODE_{LIBRARY,INCLUDE,PACKAGE}=ONLY
  compile aarch64 ibid "${ops[@]}"
  prove aarch64 "${emulated[@]}" "$out/aarch64/ibid"
  grep -q '^neon *all digests' "$out/aarch64.selftest" || { say "aarch64: its dot products were not tried"; return 1; }
  for test in "${ops[@]}"; do "${emulated[@]}" "$out/aarch64/test/$test"; done
}

# clang, whose sanitizers compile three times as fast as gcc's.
try_sanitizers() {
  need_packages clang catch2 libboost-context-dev
  need_packages "libclang-rt-$(clang -dumpversion | cut -d . -f 1)-dev"
  configure sanitizers -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_CXX_FLAGS=-O1 -DIBID_SANITIZE=address,undefined,float-cast-overflow -DIBID_TESTS=ON
  compile sanitizers ibid wrong_ibid $(basename -s .cc test/unit/*_test.cc)
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1      # by itself it reports and goes on
  export ASAN_OPTIONS=quarantine_size_mb=64                    # tests bound a process's memory
  prove sanitizers "$out/sanitizers/ibid"
  ctest --test-dir "$out/sanitizers" -R '^(unit|cli)/' -E 'cli/(examples|packages|conda)' --output-on-failure
}

try_fuzz() {
  need_packages clang zstd python3
  need_packages "libclang-rt-$(clang -dumpversion | cut -d . -f 1)-dev"
  configure fuzz -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_CXX_FLAGS=-O1 -DIBID_FUZZ=ON
  compile fuzz fuzz
  bash test/fuzz/run.sh "$out/fuzz/test/fuzz/fuzz" "$reference" "$out/fuzz/run"
}

quickstart "$out/reference" "$reference"
for name in "$@"; do
  declare -F "try_$name" >/dev/null || { say "portable.sh: no '$name'; there are gcc-O0, gcc-Ofast, clang-O0, clang, aarch64, sanitizers, fuzz"; exit 2; }
  "try_$name"
done
