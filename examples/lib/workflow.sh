# Sourced by the examples that run a step in a pipeline or a workflow engine, and by their tests: the step, the input and the model
# that they share (MODEL=PATH: where the model lies), and the comparison with one 'ibid run' on its own.

. "$(dirname "${BASH_SOURCE[0]}")/build.sh"
. "$root/examples/lib/tools.sh"
step=$root/examples/quickstart/step.yaml samples=$root/examples/quickstart/samples.tsv model=$(realpath "${MODEL:-$root/examples/models/biosample-tiny}")

# begin_example NAME [ARGUMENT of run.sh]: ibid, built when needed, in PATH, where workflows find every tool; sets work to an empty
# folder. IBID=PROGRAM uses that program instead of building one.
begin_example() {
  case "${*:2}" in
    "") ;;
    --no-install) export IBID_INSTALL=no ;;
    *) echo "usage: run.sh [--no-install]" >&2; exit 2 ;;
  esac
  if [ -z "${IBID:-}" ]; then
    need_packages "${build_packages[@]}"
    build_ibid -DIBID_TESTS=OFF
  fi
  work=$build/examples/$1
  rm -rf "$work"
  mkdir -p "$work/bin"
  ln -s "$IBID" "$work/bin/ibid"
  export PATH=$work/bin:$PATH
}

# title TEXT: what the next lines show.
title() { printf '\n== %s\n' "$*"; }

# long_input N: the samples N times over, none like another: long enough to be interrupted.
long_input() {
  awk -F '\t' -v OFS='\t' -v n="$1" 'NR == 1 { print; next } { id[NR] = $1; text[NR] = $2 }
    END { for (i = 1; i <= n; i++) for (r = 2; r <= NR; r++) print id[r] "." i, text[r] ", aliquot " i }' "$samples"
}

# compare ANSWERS BUNDLE [INPUT]: with what one 'ibid run' makes of the same step and input, in the folder work.
compare() {
  "$IBID" run "$step" "${3:-$samples}" --model "$model" -o "$work/whole.tsv" --bundle "$work/whole.ibid.tar" --quiet
  cmp "$1" "$work/whole.tsv" && cmp "$2" "$work/whole.ibid.tar" && echo "answers and bundle: the same bytes as one 'ibid run' writes"
}
