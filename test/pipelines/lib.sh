# Sourced by the tests of the workflow examples: test/cli/lib.sh, what the examples share, and engines that may be absent.
. "$(dirname "${BASH_SOURCE[0]}")/../cli/lib.sh"
export IBID_BUILD
IBID_BUILD=$(dirname "$ibid")
. "$root/examples/lib/workflow.sh"
work=$scratch
mkdir bin
ln -s "$ibid" bin/ibid
PATH=$scratch/bin:$PATH

# engine NAME: need_NAME of examples/lib/tools.sh, or the test is skipped by name.
engine() { "need_$1" 2>fetch.txt || { echo "SKIPPED: $1 cannot be had: $(tail -n 1 fetch.txt)"; exit 77; }; }
# same_files WHAT A B: byte by byte.
same_files() { checks=$((checks + 1)); cmp "$2" "$3" || fail "$1: $2 and $3 differ"; }
