# The Nextflow example: the bytes of one run, everything reused by -resume, and no answer of another model.
. "$(dirname "${BASH_SOURCE[0]}")/nextflow.sh"

cp -r "$model" model
exits 0 env IBID="$ibid" MODEL=model bash "$root/examples/nextflow/run.sh" --no-install
holds "verified" "$out" "sound"
holds "the bytes of one run" "$out" "answers and bundle: the same bytes as one 'ibid run' writes"
cd "$IBID_BUILD/examples/nextflow"
# Four shards, frozen before and merged and verified after; MultiQC where it can be had.
tasks=7
if [ -e bin/multiqc ]; then
  tasks=8
  same "MultiQC has read the section" "samples 24 100.0 24" "$(tail -n 1 results/multiqc_data/multiqc_ibid_table.txt | cut -f 1-4 | xargs)"
  same "and the versions" "IBID_MERGE IBID_RUN" "$(tail -n +2 results/multiqc_data/multiqc_software_versions.txt | cut -f 1 | xargs)"
else
  echo "SKIPPED a part: MultiQC cannot be had"
fi
holds "everything is reused" "$out" "reused $tasks of $tasks tasks"
number=$(ibid --version | cut -d' ' -f 2)
cuda=$(ibid --version --verbose | sed -nE 's/^cuda: nvcc ([0-9.]+).*/\1/p; s/^cuda: not built/no CUDA available/p')
same "versions on the topic" "IBID_MERGE: ibid: $number IBID_RUN: cuda: $cuda ibid: $number" "$(xargs <results/ibid_mqc_versions.yml)"

# Another model under the same path: its tasks are not reused, the pinned digest refuses it, and that is not tried again.
arguments=(-resume --step "$quick/step.yaml" --input "$quick/samples.tsv" --model "$scratch/model" --suffix tsv)
echo >>"$scratch/model/config.json"
pipeline 1 "${arguments[@]}"
same "freezing is reused" "$(printf 'CACHED\t0\t1')" "$(rows_of IBID_FREEZE)"
same "each shard is refused, once" "$(printf 'FAILED\t65\t1')" "$(rows_of IBID_RUN | grep -v ABORTED | sort -u)"
holds "both digests" "$(cat log.txt)" "pinned: sha256:17a1ea10236f10d434338746f3ab9157f8cb5df50e843d3132532754aab61b29"

# A manifest that pins it: everything runs again.
sed "s/digest: sha256:.*/$(ibid pin "$scratch/model" | grep -o 'digest: sha256:[0-9a-f]*')/" "$quick/step.yaml" >"$scratch/step.yaml"
arguments[2]=$scratch/step.yaml
pipeline 0 "${arguments[@]}"
same "seven tasks ran" "$(lines 7 "$(printf 'COMPLETED\t0\t1')")" "$(cut -f 2- <<<"$rows")"
ibid freeze "$scratch/step.yaml" -o other.yaml --quiet
ibid run other.yaml "$quick/samples.tsv" --model "$scratch/model" -o other.tsv --bundle other.ibid.tar --quiet
exits 0 cmp other.ibid.tar results/samples.ibid.tar
exits 1 cmp whole.ibid.tar results/samples.ibid.tar

# A name with a space, and a cache that is named from here: all tasks share it.
cp "$quick/samples.tsv" "$scratch/my samples.tsv"
arguments+=(--input "$scratch/my samples.tsv" --cache kept)
rm -rf kept
pipeline 0 "${arguments[@]}"
exits 0 cmp other.ibid.tar results/my_samples.ibid.tar
same "24 answers are in the cache" 24 "$(find kept -type f | wc -l)"

# An input that is called as an answer: its link is not written through, not by a stub run either.
cp -p "$quick/samples.tsv" "$scratch/samples.1.tsv"
arguments+=(--input "$scratch/samples.1.tsv")
for stub in "" -stub; do
  pipeline 0 $stub "${arguments[@]}"
  exits 0 cmp "$quick/samples.tsv" "$scratch/samples.1.tsv"
  exits 1 test "$scratch/samples.1.tsv" -nt "$quick/samples.tsv"
done

# Pieces, which Nextflow cuts: the same bytes, also of a table that has grown.
arguments+=(--input "$quick/samples.tsv" --piece 10)
pipeline 0 "${arguments[@]}"
exits 0 cmp other.ibid.tar results/samples.ibid.tar
exits 0 cmp other.tsv results/samples.tsv
same "three pieces" "$(lines 3 "$(printf 'COMPLETED\t0\t1')")" "$(rows_of IBID_RUN)"
{ cat "$quick/samples.tsv"; for i in $(seq 9); do printf 'NEW%d\tliver\n' "$i"; done; } >"$scratch/samples.tsv"
arguments+=(--input "$scratch/samples.tsv")
pipeline 0 "${arguments[@]}"
ibid run other.yaml "$scratch/samples.tsv" --model "$scratch/model" -o grown.tsv --bundle grown.ibid.tar --quiet
exits 0 cmp grown.ibid.tar results/samples.ibid.tar
pipeline 0 "${arguments[@]}"
same "and a second time nothing is" "$(lines 4 "$(printf 'CACHED\t0\t1')")" "$(rows_of IBID_RUN)"

# Compressed JSON lines are cut line by line; what cannot be cut, or holds no records, is refused.
printf '{"sample":"S%d","annotation":"liver"}\n' 1 2 3 | gzip >"$scratch/said.jsonl.gz"
sed 's/format: tsv/format: jsonl/' "$scratch/step.yaml" >"$scratch/lines.yaml"
ibid freeze "$scratch/lines.yaml" -o lines.yaml --quiet
ibid run lines.yaml "$scratch/said.jsonl.gz" --model "$scratch/model" -o said.jsonl --bundle said.ibid.tar --quiet
arguments=(-resume --step "$scratch/lines.yaml" --input "$scratch/said.jsonl.gz" --model "$scratch/model" --piece 2)
pipeline 0 "${arguments[@]}"
exits 0 cmp said.ibid.tar results/said.ibid.tar
head -n 1 "$quick/samples.tsv" >"$scratch/header.tsv"
pipeline 1 "${arguments[@]}" --input "$scratch/header.tsv"
holds "no records" "$(cat log.txt)" "header.tsv has no records to cut"
pipeline 1 "${arguments[@]}" --input "$scratch/lines.yaml"
holds "no table" "$(cat log.txt)" "lines.yaml is none of them"
done_ok
