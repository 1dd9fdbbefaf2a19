# `selftest` names the op that is wrong, in a program of which one is (wrong_op.cc; IBID_WRONG, test/wrong_ibid of a build), and ends with 70.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
wrong=${IBID_WRONG:?the program with a wrong op}

# named OP: what selftest says of a program in which OP is wrong, on scalar code.
named() {
  exits 70 env IBID_WRONG_OP="$1" "$wrong" selftest --isa scalar
  holds "$1" "$out" "scalar   DIFFERS"
  holds "what to do" "$err" "please report the lines above"
  found=$(sed -n 's/^         //p' out.txt | grep -v '^generation ' | paste -sd ,)
}

exits 0 "$wrong" selftest --isa scalar
holds "none of them wrong" "$out" "scalar   all digests as numerics v1 fixes them"
named norm
same "norm" "norm_quantize" "$found"
named rotate
same "rotate, and what is made with it" "rope_store,rope_store of normed heads,attention,copy_page" "$found"
holds "generations as well" "$out" "generation tiny w16a16"
named weigh
same "weigh" "sample" "$found"
exits 70 env IBID_WRONG_OP=norm "$wrong" selftest          # of several instruction sets, the one
same "one instruction set" 1 "$(grep -c DIFFERS out.txt)"
done_ok
