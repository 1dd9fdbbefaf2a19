#!/usr/bin/env bash
# Builds ibid and runs every test through ctest. Installs what is missing on Debian (IBID_INSTALL=no only checks).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. examples/lib/build.sh
need_packages "${build_packages[@]}" catch2 libboost-context-dev python3 python3-venv python3-jsonschema python3-numpy bzip2 zstd gzip skopeo \
  jq maven procps libzstd-dev zlib1g-dev binutils groff-base zsh fish umoci mmdebstrap fastqc fastp bwa samtools
# The program under test is the CPU's: nvcc takes minutes for six architectures, and without a GPU only the compiler has anything to
# say about the result. That is what cuda/compile and cuda/ptx ask it; simt/* run the kernels.
need_cuda || say "SKIPPED for want of a CUDA toolkit: cuda/compile, cuda/ptx"
# The quickstart configures without tests.
! grep -q '^IBID_TESTS:BOOL=OFF' "$build/CMakeCache.txt" 2>/dev/null || rm -f "$build/build.ninja"
targets=all build_ibid -DIBID_TESTS=ON -DIBID_CUDA="${IBID_CUDA:-OFF}"
cd "$build"
exec ctest --output-on-failure -j "$(nproc)" "$@"
