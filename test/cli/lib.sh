# Sourced by the command-line tests: a scratch folder, and checks that print what they compared.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
ibid=$(realpath "${IBID:?set IBID to the program under test}")
model=$root/examples/models/biosample-tiny
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
checks=0

fail() { echo "FAILED: $*" >&2; exit 1; }
# same WHAT A B: the two texts are equal.
same() { checks=$((checks + 1)); [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; }
# holds WHAT TEXT PART: TEXT contains PART.
holds() { checks=$((checks + 1)); [[ "$2" == *"$3"* ]] || fail "$1: no '$3' in: $2"; }
# exits CODE COMMAND...: runs it, keeps stdout in $out and stderr in $err, and compares the exit code.
exits() {
  local want=$1 code=0; shift
  "$@" >out.txt 2>err.txt || code=$?
  out=$(cat out.txt) err=$(cat err.txt)
  checks=$((checks + 1)); [ "$code" = "$want" ] || fail "exit $code instead of $want: $* :: $err"
}
# has_terminals WHAT: says that WHAT is skipped where there are none.
has_terminals() { script -qec true /dev/null </dev/null >/dev/null 2>&1 || { echo "SKIPPED for want of pseudo-terminals: $1"; return 1; }; }
# odd_table MIDDLE LAST: records S1 to SLAST, an unreadable row behind the MIDDLEth, and at the end an id that stood before.
odd_table() {
  printf 'sample\tannotation\n'
  for i in $(seq 1 "$1"); do printf 'S%d\tliver biopsy %d\n' "$i" "$i"; done
  printf 'broken\n'
  for i in $(seq $(($1 + 1)) "$2"); do printf 'S%d\tmouse, day %d\n' "$i" "$i"; done
  printf 'S7\tsecond of its name\n'
}
done_ok() { [ "$checks" -gt 0 ] || fail "nothing was checked"; echo "$checks checks passed"; }
