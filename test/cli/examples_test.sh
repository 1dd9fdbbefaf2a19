# The examples run with one command each, and refuse a wrong model.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export IBID_BUILD
IBID_BUILD=$(dirname "$ibid")

exits 0 bash "$root/examples/quickstart/run.sh" --no-install
holds "side by side" "$out" "liver bx, 54yo F, HCC, bulk RNAseq"
holds "verified" "$out" "sound"
holds "rerun" "$out" "identical"
exits 2 bash "$root/examples/quickstart/run.sh" --frobnicate

# A CUDA toolkit counts from 12.4 on.
printf '#!/bin/sh\necho "Cuda compilation tools, release $RELEASE, V$RELEASE.131"\n' >nvcc
chmod +x nvcc
is_new() { bash -c '. "$1"; is_new_nvcc "$2"' - "$root/examples/lib/build.sh" "$1"; }
for RELEASE in 12.4 12.10 13.0; do RELEASE=$RELEASE exits 0 is_new ./nvcc; done
for RELEASE in 9.2 11.8 12.3; do
  RELEASE=$RELEASE exits 1 is_new ./nvcc
  holds "too old" "$err" "./nvcc is of CUDA $RELEASE; ibid needs 12.4 or newer"
done
exits 1 is_new ./none

smollm2=$IBID_BUILD/models/SmolLM2-135M-Instruct.Q4_1.gguf
if [ -n "${IBID_SMOLLM2:-}" ]; then smollm2=$IBID_SMOLLM2; fi
if ! [ -f "$smollm2" ] && ! (. "$root/examples/lib/build.sh"; . "$root/examples/lib/smollm2.sh"; obtain_smollm2) 2>fetch.txt; then
  echo "SKIPPED: SmolLM2 cannot be had: $(tail -n 1 fetch.txt)"
  done_ok
  exit 0
fi
exits 0 bash "$root/examples/smollm2/run.sh" --no-install "$smollm2"
holds "twelve summaries" "$out" "P12"
holds "rerun" "$out" "identical"
# A wrong file is refused, naming both digests.
{ head -c 1000000 "$smollm2"; printf x; tail -c +1000002 "$smollm2"; } >wrong.gguf
exits 65 bash "$root/examples/smollm2/run.sh" --no-install wrong.gguf
holds "pinned" "$err" "pinned: sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
holds "found" "$err" "this:   sha256:"
done_ok
