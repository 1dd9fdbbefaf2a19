# Sourced by the scripts that build ibid: says what is missing, installs it (Debian), builds. Asks nothing.
# Sets IBID to the program. IBID_INSTALL=no only checks.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${IBID_BUILD:-$root/build}

say() { printf '%s\n' "$*" >&2; }

# need_packages NAME...: Debian packages that must be there.
need_packages() {
  local missing=() p
  for p in "$@"; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "${IBID_INSTALL:-yes}" = no ]; then
    say "missing packages: ${missing[*]}"
    say "install them with: apt-get install ${missing[*]}"
    return 1
  fi
  command -v apt-get >/dev/null || { say "missing: ${missing[*]}; this is not Debian: install their equivalents"; return 1; }
  local sudo=
  [ "$(id -u)" -eq 0 ] || sudo=sudo
  say "installing: ${missing[*]}"
  $sudo apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# is_new_nvcc PROGRAM: it is there, and of 12.4 or newer (Debian 12 packages 11.8).
is_new_nvcc() {
  local release
  release=$("$1" --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
  [ -n "$release" ] && [ "$(printf '%s\n' 12.4 "$release" | sort -V | head -n 1)" = 12.4 ] && return 0
  [ -z "$release" ] || say "$1 is of CUDA $release; ibid needs 12.4 or newer"
  return 1
}

# need_cuda: a CUDA toolkit: the one that CUDACXX names, whatever its version, this machine's own, or one from pip in the build folder; exports
# CUDACXX and CUDAToolkit_ROOT. Fails, saying so, where none can be had.
need_cuda() {
  local venv=$build/cuda-toolkit home name nvcc
  [ -z "${CUDACXX:-}" ] || return 0
  for nvcc in $({ command -v nvcc; echo /usr/local/cuda/bin/nvcc; } | uniq); do
    is_new_nvcc "$nvcc" || continue
    export CUDACXX=$nvcc
    return 0
  done
  home=$(echo "$venv"/lib/python3*/site-packages/nvidia/cu13)
  if [ ! -x "$home/bin/nvcc" ]; then
    say "fetching the CUDA toolkit with pip into $venv"
    mkdir -p "$build"
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 && "$venv/bin/pip" install -q --disable-pip-version-check \
      "cuda-toolkit[nvcc,crt,nvvm,cudart,cccl,cublas,culibos]==13.0.2" >&2 || { rm -rf "$venv"; say "no CUDA toolkit: pip could not fetch it"; return 1; }
    home=$(echo "$venv"/lib/python3*/site-packages/nvidia/cu13)
    # The wheels lack what a toolkit's own installer links: the folder that nvcc links from, and names without versions.
    ln -sfn lib "$home/lib64"
    for name in libcublasLt libcublas libcudart; do ln -sf "$name.so.13" "$home/lib/$name.so"; done
  fi
  export CUDACXX=$home/bin/nvcc CUDAToolkit_ROOT=$home
}

build_packages=(g++ cmake ninja-build libyaml-cpp-dev libssl-dev libarchive-dev zlib1g-dev)

# build_ibid [CMAKE ARGUMENT...]: configures once, then brings the program up to date.
build_ibid() {
  if [ ! -f "$build/build.ninja" ]; then
    say "configuring in $build"
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "$@" >"$build.log" 2>&1 || { cat "$build.log" >&2; return 1; }
    rm -f "$build.log"
    say "compiling: $(ninja -C "$build" -t commands ${targets:-ibid} | grep -c -- ' -c ') files; $build/ninja.log says how far it is"
  fi
  ninja -C "$build" ${targets:-ibid} >"$build/ninja.log" 2>&1 || { tail -n 40 "$build/ninja.log" >&2; return 1; }
  IBID=$build/ibid
}
