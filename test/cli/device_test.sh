# Which device computes: asked for and absent is exit 69 with one line, a wrong name is exit 2, and auto finds what there is.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

exits 2 "$ibid" selftest --device gpu
holds "choices" "$err" "'gpu' is not one of auto, cpu, cuda, cuda:N"
exits 2 "$ibid" selftest --device cuda:x
for isa in nope AVX2 ""; do
  exits 2 "$ibid" selftest --isa "$isa"
  holds "no instruction set of that name" "$err" "'$isa' is not one of scalar, avx2"
done
exits 0 "$ibid" selftest --device cpu
holds "cpu" "$out" "all digests as numerics v1 fixes them"
exits 0 "$ibid" selftest --device auto
holds "auto" "$out" "all digests as numerics v1 fixes them"

# With a GPU it must pass on it, without one the error names what is missing and what to do.
if "$ibid" selftest --device cuda >gpu.out 2>gpu.err; then
  holds "gpu" "$(cat gpu.out)" "cuda     all digests as numerics v1 fixes them"
else
  exits 69 "$ibid" selftest --device cuda
  holds "hint" "$err" "leave --device out: the CPU gives the same bytes"
  [ "$(grep -c . err.txt)" -le 2 ] || fail "more than an error and its hint: $err"
  exits 69 "$ibid" selftest --device cuda:7
fi
done_ok
