# The whole program on the shim's GPU: a bundle made on the CPU reruns there, and the reverse, with equal digests; the run record names
# the device; what was asked of the GPU and cannot be had ends with the right code.
. "$(dirname "${BASH_SOURCE[0]}")/../cli/lib.sh"
gpu=${IBID_SIMT:?set IBID_SIMT to the program that runs on the shim}
quick=$root/examples/quickstart
head -n 4 "$quick/samples.tsv" >few.tsv
run() { local program=$1; shift; exits 0 "$program" run "$quick/step.yaml" few.tsv --model "$model" --quiet --set decoding.max_tokens=24 --set on_error=record --set max_errors=9 "$@"; }

run "$ibid" --device cpu -o cpu.tsv --bundle cpu.tar --run-record cpu.json
run "$gpu" --device cuda -o gpu.tsv --bundle gpu.tar --run-record gpu.json --batch 3
same "the rows" "$(cat cpu.tsv)" "$(cat gpu.tsv)"
same "the bundles" "$(sha256sum <cpu.tar)" "$(sha256sum <gpu.tar)"
for part in 'cuda:0' 'sm_90' 'driver' 'cublasLt'; do holds "the run record" "$(cat gpu.json)" "$part"; done
exits 0 "$gpu" rerun cpu.tar --model "$model" --device cuda
holds "cpu, then gpu" "$out$err" "identical"
exits 0 "$ibid" rerun gpu.tar --model "$model" --device cpu
holds "gpu, then cpu" "$out$err" "identical"

# auto takes the GPU that is there.
exits 0 "$gpu" run "$quick/step.yaml" few.tsv --model "$model" --set decoding.max_tokens=1 --set on_error=record --set max_errors=9 -o auto.tsv
holds "auto" "$err" "on cuda:0"

exits 69 "$gpu" selftest --device cuda:1
holds "no such GPU" "$err" "no GPU number 1"
exits 2 "$gpu" run "$quick/step.yaml" few.tsv --model "$model" --device cuda --gpu-memory 1K -o none.tsv
holds "too small a budget" "$err" "--gpu-memory"

# A GPU that is busy or full is there, later: 75. One that is not there is 69. Nobody asked: the CPU, and one line says why.
exits 75 env SIMT_CONTEXT_ERROR=46 "$gpu" selftest --device cuda
holds "busy" "$err" "the GPU is taken by another process"
exits 75 env SIMT_CONTEXT_ERROR=46 "$gpu" selftest --device cuda --wait-gpu 1
exits 69 env SIMT_CODE_ERROR=209 "$gpu" selftest --device cuda
holds "a program for other GPUs" "$err" "this ibid holds no code for sm_90"
exits 75 env SIMT_LAUNCH_ERROR=214 "$gpu" selftest --device cuda
holds "a GPU that failed" "$err" "cudaErrorECCUncorrectable"
holds "what to do then" "$err" "another node, may succeed"
exits 75 env SIMT_LAUNCH_ERROR=2 "$gpu" selftest --device cuda
holds "a GPU without memory" "$err" "out of memory on the GPU: "
exits 70 env SIMT_LAUNCH_ERROR=700 "$gpu" selftest --device cuda
exits 69 env SIMT_DRIVER_ERROR=35 "$gpu" selftest --device cuda
holds "no driver" "$err" "no NVIDIA driver here that is new enough for CUDA"
run_one() { "$@" "$gpu" run "$quick/step.yaml" few.tsv --model "$model" --set decoding.max_tokens=1 --set on_error=record --set max_errors=9 -o one.tsv; }
exits 0 run_one env SIMT_DRIVER_ERROR=35
holds "fallback" "$err" "on the CPU: no NVIDIA driver"
same "the fallback is one line" 1 "$(grep -c "on the CPU" err.txt)"
exits 75 run_one env SIMT_MEMORY=45000000
holds "full" "$err" "free"
for bytes in 1000000 20000000; do
  exits 75 run_one env SIMT_MEMORY=$bytes
  holds "what was needed to load weights" "$err" " bytes are needed, "
  holds "and what was free" "$err" " are free"
done

# A GPU without memory for the probe's buffers: tokens per second, and no share of what nobody measured.
exits 0 env SIMT_MEMORY=300000000 "$gpu" bench --device cuda --shape tiny --prompt 16 --sequences 2 --repeat 1
holds "bench" "$out" "decode_2"
[[ $out != *%* && $out != *inf* ]] || fail "bench shows a share of what was not measured: $out"
done_ok
