# The modules' own tests, in nf-core's form: snapshots of the answers themselves. With --update the snapshots are written anew first.
. "$(dirname "${BASH_SOURCE[0]}")/nextflow.sh"
# nf_test ARGUMENT...
nf_test() { NEXTFLOW=$nextflow NXF_MAIN=groovy.ui.GroovyMain "$nextflow" "$root/test/pipelines/nf_test.groovy" "$@"; }

modules=$root/examples/nextflow/modules/ibid
exits 0 nf_test "$@" "$modules/run/tests/main.nf.test" "$modules/merge/tests/main.nf.test"
holds "all ran" "$out" "4 passed, 0 failed"
# The merged shards and the run without shards have the same md5, in the files that the tests compare with.
for name in test.tsv test.ibid.tar; do
  sums=$(grep -ho "\"$name:md5,[0-9a-f]*\"" "$modules"/*/tests/main.nf.test.snap | grep -v d41d8cd98f00b204e9800998ecf8427e)
  same "md5 of $name: in two tests, twice each" 4 "$(wc -l <<<"$sums")"
  same "md5 of $name: one" 1 "$(sort -u <<<"$sums" | wc -l)"
done

# Negative control: a snapshot that differs in one digit of one md5.
only="homo_sapiens - tsv"
mkdir -p control/nextflow/modules
cp -r "$modules" control/nextflow/modules
ln -s "$root/examples/quickstart" "$root/examples/models" control
snap=control/nextflow/modules/ibid/run/tests/main.nf.test.snap
answers=$(grep -o 'test.tsv:md5,[0-9a-f]*' "$snap" | grep -v d41d8cd98f | sort -u)
sed -i "s/$answers/${answers%?}$(tr 0-9a-f 1-9a-f0 <<<"${answers: -1}")/" "$snap"
exits 1 nf_test --only "$only" control/nextflow/modules/ibid/run/tests/main.nf.test
holds "the difference is shown" "$out" "found:"
holds "and counted" "$out" "0 passed, 1 failed"

# A model's folder, in which Nextflow would not notice a change, is refused.
sed -i "s|files(\(.*\)/biosample-tiny/\*|file(\1/biosample-tiny|" control/nextflow/modules/ibid/run/tests/main.nf.test
exits 1 nf_test --only "$only" control/nextflow/modules/ibid/run/tests/main.nf.test
holds "the folder is refused" "$out" "Give the files of the model's folder, files('FOLDER/*'), not the folder itself -- Check script"
done_ok
