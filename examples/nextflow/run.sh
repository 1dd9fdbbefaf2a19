#!/usr/bin/env bash
# A real Nextflow answers the quickstart's table in four shards, merges, verifies and reports them; then again with -resume.
#   run.sh [--no-install] [MODEL]
# MODEL is where the model lies that the step pins (default: the shipped one). IBID=PROGRAM uses that program instead of building one.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ "${1:-}" = --no-install ] && { export IBID_INSTALL=no; shift; }
[ $# -le 1 ] || { echo "usage: run.sh [--no-install] [MODEL]" >&2; exit 2; }
. "$here/../lib/build.sh"
. "$here/../lib/tools.sh"
quickstart=$root/examples/quickstart model=$(realpath "${1:-$root/examples/models/biosample-tiny}")
if [ -z "${IBID:-}" ]; then
  need_packages "${build_packages[@]}"
  build_ibid -DIBID_TESTS=OFF
fi
need_nextflow

# The pipeline finds its tools in PATH. Without MultiQC it runs all the same, and hands it nothing.
out=$build/examples/nextflow
rm -rf "$out"
mkdir -p "$out/bin"
ln -s "$IBID" "$out/bin/ibid"
if need_multiqc; then
  ln -s "$multiqc" "$out/bin/multiqc"
  report=true
else
  say "going on without MultiQC"
  report=false
fi
export PATH=$out/bin:$PATH
cd "$out"

pipeline() {
  "$nextflow" run "$here" -ansi-log false --step "$quickstart/step.yaml" --input "$quickstart/samples.tsv" --model "$model" --suffix tsv \
    --multiqc $report "$@"
}
pipeline -with-trace first.txt
echo
cat results/samples.verified.txt
ibid freeze "$quickstart/step.yaml" -o frozen.yaml --quiet
ibid run frozen.yaml "$quickstart/samples.tsv" --model "$model" -o whole.tsv --bundle whole.ibid.tar --quiet
cmp results/samples.tsv whole.tsv && cmp results/samples.ibid.tar whole.ibid.tar && echo "answers and bundle: the same bytes as one 'ibid run' writes"
echo
pipeline -resume -with-trace second.txt
echo "reused $(awk -F '\t' '$5 == "CACHED"' second.txt | wc -l) of $(tail -n +2 first.txt | wc -l) tasks"
