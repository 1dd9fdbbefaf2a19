# The qc-triage example: one command; its digests are the expected ones; MultiQC read what ibid counted. And its collector is strict.
. "$(dirname "${BASH_SOURCE[0]}")/../cli/lib.sh"
example=$root/examples/qc-triage
collect() { python3 "$example/collect.py" "$@"; }

# The collector refuses what it cannot read, by file and line.
mkdir -p in/S1
broken() {                                             # broken WHAT PART_OF_THE_MESSAGE: of the file that was just changed
  exits 65 collect in
  holds "$1" "$err" "$2"
  rm -rf in/S1; mkdir in/S1
}
head -n 40 "$example/reports/clean/fastqc_data.txt" >in/S1/data.txt; broken "a cut FastQC" "in/S1/data.txt:40: the file ends within 'Per base sequence quality'"
sed 's/^Total Sequences.*/Total Sequences\tmany/' "$example/reports/clean/fastqc_data.txt" >in/S1/data.txt; broken "no number" "'many' is not a number"
head -c 500 "$example/reports/clean/clean.fastp.json" >in/S1/x.json; broken "a cut fastp" "in/S1/x.json:"
sed '3s/ + / und /' "$example/reports/clean/clean.flagstat" >in/S1/x; broken "flagstat" "in/S1/x:3: expected"
sed '2s/\t[0-9]*$//' "$example/reports/clean/clean.idxstats" >in/S1/x; broken "idxstats" "in/S1/x:2: expected four columns"
echo 30596 >in/S1/x.json; broken "something else" "in/S1/x.json: neither FastQC, fastp nor samtools"
broken "no report at all" "in/S1: no report"

# Real reports of many versions, where they are there: what FastQC says of itself, read by other means.
data=${IBID_TEST_DATA:-$root/../shared/data}/bio-qc-inputs
if [ -d "$data" ]; then
  mkdir real
  n=0
  while IFS= read -r file; do
    n=$((n + 1))
    mkdir "real/$(printf %02d $n)"
    ln -s "$file" "real/$(printf %02d $n)/fastqc_data.txt"
  done < <(find -L "$data/fastqc" -name fastqc_data.txt | sort)
  [ $n -ge 30 ] || fail "only $n real FastQC reports"
  collect real >real.tsv
  for folder in real/*; do awk -F '\t' '$1 == "Total Sequences" { print $2 }' "$folder/fastqc_data.txt"; done >want.txt
  cut -f 2 real.tsv | tail -n +2 | cmp - want.txt || fail "other numbers of reads"
  for folder in real/*; do awk -F '\t' '/^>>.*\tfail/ { printf "%s%s", sep, substr($1, 3); sep = ", " } END { print "" }' "$folder/fastqc_data.txt"; done >want.txt
  awk -F '\t' 'NR > 1 { print $2 ? $10 : "" }' real.tsv | cmp - want.txt || fail "other failed modules"
  checks=$((checks + 2))
  holds "a report about no reads says nothing else" "$(cat real.tsv)" "$(printf '\t0\t\t\t\t\t\t\t\t\tthere are only 0 reads')"
else
  echo "SKIPPED: real reports: no $data"
fi

# The shipped reports come out of the tools again, byte by byte, where the tools are there in the same versions.
versions="$(fastqc --version 2>&1) $(fastp --version 2>&1) $(samtools --version 2>&1 | head -n 1)" || true
if [ "$versions" = "FastQC v0.11.9 fastp 0.23.2 samtools 1.16.1" ] && command -v bwa >/dev/null; then
  "$example/simulate.sh" again
  diff -r again "$example/reports" || fail "simulate.sh makes other reports"
  checks=$((checks + 1))
else
  echo "SKIPPED: simulate.sh: FastQC 0.11.9, fastp 0.23.2, samtools 1.16.1 and bwa are not all installed"
fi

# The whole example.
export IBID_BUILD
IBID_BUILD=$(dirname "$ibid")
. "$root/examples/lib/build.sh"
. "$root/examples/lib/smollm2.sh"
. "$root/examples/lib/tools.sh"
smollm2=${IBID_SMOLLM2:-$smollm2}
obtain_smollm2 2>fetch.txt || { echo "SKIPPED: SmolLM2 cannot be had: $(tail -n 1 fetch.txt)"; exit 77; }
need_multiqc 2>fetch.txt || { echo "SKIPPED: MultiQC cannot be had: $(tail -n 1 fetch.txt)"; exit 77; }
exits 2 "$example/run.sh" --frobnicate
exits 0 "$example/run.sh" --no-install "$smollm2"
holds "rerun" "$out" "identical"
holds "digests" "$out" "the digests are those of expected.txt"
here=$IBID_BUILD/qc-triage
cmp "$here/digests.txt" "$example/expected.txt" || fail "other digests"
same "a sentence for each sample" "$(cut -f 1 "$here/table.tsv" | tail -n +2)" "$(cut -f 1 "$here/triage.tsv" | tail -n +2)"
exits 0 python3 "$root/test/pipelines/multiqc_check.py" "$ibid" "$here/multiqc/report_data" qc-triage "$here/triage.ibid.tar" "$here/triage.tsv" QC_TRIAGE
# MultiQC shows the sentences as they were written, and the tools' reports beside them.
python3 - "$here" <<'PY' || fail "MultiQC's tables are not the files'"
import json, sys
here = sys.argv[1]
parsed = json.load(open(here + "/multiqc/report_data/multiqc_data.json"))["report_saved_raw_data"]
rows = [line.split("\t") for line in open(here + "/triage.tsv").read().splitlines()[1:]]
want = {r[0]: {"findings": r[1], "response": r[3]} for r in rows}
assert parsed["multiqc_qc_triage_table"] == want, parsed["multiqc_qc_triage_table"]
for tool in ("fastqc", "fastp", "samtools_flagstat", "samtools_stats", "samtools_idxstats"):
    assert set(parsed["multiqc_" + tool]) == set(want), tool
PY
checks=$((checks + 1))
# The control: of another table the digests are others.
head -n 2 "$here/table.tsv" | sed 's/41 %/42 %/' >one.tsv
"$ibid" run "$example/step.yaml" one.tsv --model "$smollm2" --quiet -o one.out --bundle one.tar
"$ibid" show one.tar | awk '$1 == "step" || $1 == "result"' >one.txt
grep -qFf one.txt "$example/expected.txt" && fail "another input gave the expected digests"
done_ok
