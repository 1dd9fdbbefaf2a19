#!/usr/bin/env bash
# Packages of ibid, written to build-packages/: a .deb and a .tar.gz, each holding one program that needs nothing but a glibc. Runs on
# Debian 12 or newer; the GPUs' code takes about ten minutes of two cores.
#   build.sh [--no-install] [--cpu] [-DNAME=VALUE...]
#     --cpu     no GPU code, no CUDA toolkit
#     -D...     goes to cmake, for instance -DCMAKE_CUDA_ARCHITECTURES=90
# IBID_BUILD names another folder to build in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cuda=ON arguments=()
for option in "$@"; do
  case "$option" in
    --no-install) export IBID_INSTALL=no ;;
    --cpu) cuda=OFF ;;
    -D*) arguments+=("$option") ;;
    *) echo "usage: build.sh [--no-install] [--cpu] [-DNAME=VALUE...]" >&2; exit 2 ;;
  esac
done
IBID_BUILD=${IBID_BUILD:-$(cd ../.. && pwd)/build-packages}
. ../lib/build.sh
. ../lib/debian.sh
need_packages "${build_packages[@]}" libzstd-dev zlib1g-dev
if [ $cuda = ON ]; then
  need_packages python3 python3-venv
  need_cuda
fi

# What is linked with Debian 11's glibc runs there and on everything since; what is linked with this machine's, on nothing older.
glibc=$build/glibc
debian_unpack bullseye "$glibc" libc6 libc6-dev || { glibc=; say "so the packages will need a glibc as new as this machine's"; }
build_ibid -DIBID_TESTS=OFF -DIBID_CUDA=$cuda -DIBID_PORTABLE=ON -DIBID_GLIBC="$glibc" "${arguments[@]}"

# copyright: our licence, and that of each package whose code is in the program, found by the files that the linker read.
{
  printf 'ibid is licensed under the Apache License 2.0, which stands in LICENSE beside this file and in /usr/share/common-licenses.\n'
  printf 'The program contains parts of the libraries below.\n'
  cmake -N -LA "$build" | sed -n 's/^\(IBID_YAML\|IBID_ZSTD\|ZLIB_LIBRARY_RELEASE\|OPENSSL_CRYPTO_LIBRARY\|LibArchive_LIBRARY\):FILEPATH=//p' |
    cat - <(g++ -print-file-name=libstdc++.a) | xargs realpath | xargs dpkg -S | sed 's/:.*//' | sort -u | while read -r package; do
    printf '\n\n==== %s %s\n\n' "$package" "$(dpkg-query -W -f '${Version}' "$package")"
    cat "/usr/share/doc/$package/copyright"
  done
  if [ $cuda = ON ]; then
    printf '\n\n==== NVIDIA CUDA Runtime, libcudart_static.a of the CUDA Toolkit: its licence agreement, https://docs.nvidia.com/cuda/eula\n'
  fi
} >"$build/copyright"

# The newest symbol that the program asks glibc for says which distributions it runs on.
newest=$(objdump -T "$IBID" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
rm -f "$build"/ibid*.deb "$build"/ibid*.tar.gz
(cd "$build" && cpack -D CPACK_DEBIAN_PACKAGE_DEPENDS="libc6 (>= ${newest#GLIBC_})" >cpack.log 2>&1) || { cat "$build/cpack.log" >&2; exit 1; }
echo "glibc    ${newest#GLIBC_} or newer"
echo "cuda     $("$IBID" --version --verbose | sed -n 's/^cuda: //p')"
for package in "$build"/ibid*.deb "$build"/ibid*.tar.gz; do
  echo "package  ${package##*/}, $(stat -c %s "$package") bytes, sha256:$(sha256sum "$package" | cut -c 1-64)"
done
