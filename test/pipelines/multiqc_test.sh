# A real MultiQC renders what --mqc and --versions write: every number it read is counted again from the bundle and compared.
# One step with several samples ends in ok, truncated, overflow and bad_record; its shards and their merge stand in the same table.
. "$(dirname "${BASH_SOURCE[0]}")/../cli/lib.sh"
export IBID_BUILD
IBID_BUILD=$(dirname "$ibid")
. "$root/examples/lib/build.sh"
. "$root/examples/lib/tools.sh"
need_multiqc 2>fetch.txt || { echo "SKIPPED: MultiQC cannot be had: $(tail -n 1 fetch.txt)"; exit 77; }
check() { python3 "$root/test/pipelines/multiqc_check.py" "$ibid" "$@"; }
report() { "$multiqc" --quiet --force --no-ansi --outdir "$@" >multiqc.txt 2>&1 || fail "MultiQC: $(cat multiqc.txt)"; }

{ sed -e 's/max_tokens: .*/max_tokens: 40/' -e 's/context: .*/context: 80/' -e 's/method: greedy/method: sample\n  temperature: 1.2\n  samples: 3/' \
    "$root/examples/quickstart/step.yaml"
  printf 'on_error: record\nmax_errors: 100\n'; } >step.yaml
{ head -n 13 "$root/examples/quickstart/samples.tsv"; printf 'LONG\t%s\nbroken\n' "$(printf 'liver %.0s' $(seq 200))"; } >in.tsv
run() { "$ibid" run step.yaml in.tsv --model "$model" --quiet "$@"; }
run -o whole.tsv --bundle whole.tar --mqc whole_mqc.json --versions whole_mqc_versions.yml --process 'LAB:ANNOTATE'
for i in 1 2; do run --shard $i/2 -o part$i.tsv --bundle part$i.tar --mqc part${i}_mqc.json; done
"$ibid" merge part2.tar part1.tar --quiet -o merged.tsv --bundle merged.tar --mqc merged_mqc.json
report all ./*_mqc.json ./*_mqc_versions.yml
holds "what is looked at has every kind of record" "$(cut -f 4 whole.tsv | sort -u | tr '\n' ' ')" "bad_record ok overflow status truncated"
exits 0 check all/multiqc_data whole whole.tar whole.tsv 'LAB:ANNOTATE'
for row in part1 part2 merged; do exits 0 check all/multiqc_data $row $row.tar $row.tsv; done

# The page has these columns although the last file that MultiQC reads, of the run without shards, has nothing to say about the first.
for column in shard agreement refused truncated model config; do exits 0 grep -q "<th id=\"header_$column\"" all/multiqc_report.html; done

# The rows of the shards and of what was merged: one step, the same sums, and each says what it is.
python3 - <<'PY' || fail "shards and merge do not fit together"
import json
rows = json.load(open("all/multiqc_data/multiqc_data.json"))["report_saved_raw_data"]["multiqc_ibid_table"]
whole, merged, parts = rows["whole"], rows["merged"], [rows["part1"], rows["part2"]]
assert merged == whole and whole["agreement"] < 100, (merged, whole)
assert [p.pop("shard") for p in parts] == ["1 of 2", "2 of 2"] and "shard" not in whole
assert len({p["step"] for p in parts + [whole]}) == 1 and len({p["result"] for p in parts + [whole]}) == 3
for key in ("records", "ok", "truncated", "refused", "overflow", "bad_record", "prompt_tokens", "answer_tokens"):
    assert sum(p[key] for p in parts) == whole[key], key
PY
checks=$((checks + 1))

# The controls: a number that is another one, another version; a section that is cut, which MultiQC leaves out without failing.
mkdir other cut
sed 's/"answer_tokens":\([0-9]*\),/"answer_tokens":1\1,/' whole_mqc.json >other/whole_mqc.json
sed 's/ibid: .*/ibid: 99.0.0/' whole_mqc_versions.yml >other/whole_mqc_versions.yml
report other/out other
exits 1 check other/out/multiqc_data whole whole.tar whole.tsv 'LAB:ANNOTATE'
holds "the number" "$out" "answer_tokens: MultiQC read 1"
holds "the version" "$out" "LAB:ANNOTATE has 99.0.0"
head -c 2000 whole_mqc.json >cut/whole_mqc.json
report cut/out cut
exits 1 check cut/out/multiqc_data whole whole.tar whole.tsv
holds "the section" "$out" "MultiQC has no row 'whole'"
done_ok
