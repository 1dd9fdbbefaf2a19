# Sourced after build.sh: workflow engines and reporters that the examples and tests run, each of one fixed version, put into
# $build/tools once. Each function sets a variable or fails, having said why; nothing is put anywhere else.

tools=$build/tools

# need_pip_tool NAME COMMAND SPEC...: a Python program in a virtual environment of its own; sets tool to COMMAND's path. Of two
# that want the same one at once the second waits, and finds it there.
need_pip_tool() {
  local name=$1 command=$2 venv=$tools/$1
  shift 2
  tool=$venv/bin/$command
  mkdir -p "$tools"
  (
    flock 9
    [ "$(cat "$venv/complete" 2>/dev/null)" != "$*" ] || exit 0
    need_packages python3 python3-venv || exit 1
    say "fetching $* with pip into $venv"
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 && "$venv/bin/pip" install -q --disable-pip-version-check "$@" >&2 || { rm -rf "$venv"; say "pip cannot fetch $*"; exit 1; }
    printf '%s\n' "$*" >"$venv/complete"
  ) 9>"$tools/$name.lock"
}

need_snakemake() { need_pip_tool snakemake snakemake snakemake==9.27.1 && snakemake=$tool; }
need_cwltool() { need_pip_tool cwltool cwltool cwltool==3.3.20260925135507 && cwltool=$tool; }
need_multiqc() { need_pip_tool multiqc multiqc multiqc==1.35 && multiqc=$tool; }
