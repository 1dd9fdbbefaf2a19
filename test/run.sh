#!/usr/bin/env bash
# Builds ibid and runs every test through ctest. Installs what is missing on Debian (IBID_INSTALL=no only checks).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. examples/lib/build.sh
need_packages "${build_packages[@]}" catch2 python3 bzip2 zstd gzip skopeo
targets=all build_ibid
cd "$build"
exec ctest --output-on-failure -j "$(nproc)" "$@"
