# examples/snakemake under a real Snakemake: the wrappers in the wrapper repository's layout; the workflow, which runs again exactly
# what must and refuses other bytes than it expects.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
engine snakemake
export XDG_CACHE_HOME=$scratch/xdg
example=$root/examples/snakemake

exits 0 bash "$example/run.sh" --no-install
holds "verified" "$out" "sound"
holds "the comparison" "$out" "the same bytes"
holds "the second time" "$err" "Nothing to be done"

# The wrappers' own tests, laid out and run as the wrapper repository does it.
mkdir -p prefix/master/utils tests
cp -r "$example/wrappers/ibid" prefix/master/utils/
cp "$step" "$samples" tests/
ln -s "$model" tests/biosample-tiny
cat "$example"/wrappers/ibid/{run,merge}/test/Snakefile >tests/Snakefile
exits 0 "$snakemake" --cores 2 --directory tests --snakefile tests/Snakefile --wrapper-prefix "file://$scratch/prefix/" out/samples.tsv merged/samples.tsv
compare tests/out/samples.tsv tests/out/samples.ibid.tar >/dev/null || fail "the wrapper of run"
same_files "the wrapper of merge" tests/merged/samples.tsv whole.tsv
same_files "the wrapper of merge" tests/merged/samples.ibid.tar whole.ibid.tar

# A workflow of its own, on a step with a side file. config OPTIONS [EXPECTED]: what it runs.
mkdir flow
cd flow
workflow() { "$snakemake" --cores 1 --snakefile "$example/workflow/Snakefile" --configfile config.yaml "$@"; }
config() {
  cat <<Y
step: step.yaml
records: records.tsv
model: model
files: {criteria: criteria.txt}
shards: 2
gpu: 0
options: $1
expect: {${2:-}}
Y
}
digest() { sha256sum <"$1" | cut -d ' ' -f 1; }
step_with_side_file() {
  sed -e "s|^  messages:|  files: {criteria: {path: elsewhere.txt, digest: sha256:$(digest criteria.txt)}}\n&|" \
    -e "s|{{ annotation }}|{{ annotation }} {{ file('criteria') }}|" -e 's/max_tokens: .*/max_tokens: 8/' "$step"
  printf 'on_error: record\nmax_errors: 24\n'
}
# planned WHAT JOBS: which jobs would run.
planned() {
  exits 0 workflow --dry-run --quiet rules
  same "$1" "$2" "$(awk '/^total/ { exit } $2 ~ /^[0-9]+$/ && NF == 2 { printf "%s%s %s", sep, $1, $2; sep = ", " }' out.txt)"
}
reused() { cat logs/run/*.log | awk '/answers were there already/ { n += $2 } END { print n + 0 }'; }
echo "Be exact." >criteria.txt
cp -r "$model" model
cp "$samples" records.tsv
step_with_side_file >step.yaml
config "--cache cache" >config.yaml
exits 0 workflow
whole() { "$ibid" run step.yaml records.tsv --file criteria=criteria.txt --model "$model" -o whole.tsv --bundle whole.ibid.tar --quiet; }
whole
same_files "with a side file" results/answers.tsv whole.tsv
same_files "with a side file" results/answers.ibid.tar whole.ibid.tar

# Newer files with the same bytes are no reason to run; other bytes are. Of a changed input only the changed records are computed.
sleep 1
touch model/* model step.yaml records.tsv criteria.txt
planned "touched files" ""
sed -i 's/E14.5/E15.5/' records.tsv
planned "a changed record" "run 2, merge 1, verify 1, all 1"
whole
config "--cache cache" "answers: $(digest whole.tsv), bundle: $(digest whole.ibid.tar)" >config.yaml
exits 0 workflow
same_files "a changed record" results/answers.tsv whole.tsv
same "the others are not computed again" 23 "$(reused)"

# Other bytes than expected: the workflow fails, and they do not stay.
config "--cache cache" "answers: $(digest whole.tsv), bundle: $(digest whole.tsv)" >config.yaml
exits 1 workflow --forcerun merge
holds "a wrong digest" "$err" "checksum"
same "nothing wrong stays" "" "$(find results -name 'answers*')"

# A side file that is not the one that the step pins.
echo "Be brief." >criteria.txt
exits 1 workflow
holds "a changed side file" "$out$err" "criteria.txt"
holds "ibid says why" "$(cat logs/run/*.log)" "digest"
same "what failed is gone" 1 "$(ls results/shards/*.tar | wc -l)"
done_ok
