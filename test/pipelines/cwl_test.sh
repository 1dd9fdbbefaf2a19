# examples/cwl under a real cwltool: the tools are valid, the scattered workflow writes the bytes of one run, exit codes become what
# CWL calls them, and the GPU tool is refused where there is no GPU.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
engine cwltool
command -v jq >/dev/null || { echo "SKIPPED: no jq"; exit 77; }
example=$root/examples/cwl
cwl() { exits "$1" "$cwltool" --disable-color "${@:2}"; }

exits 0 bash "$example/run.sh" --no-install
holds "the comparison" "$out" "the same bytes"
holds "no GPU here" "$err" "Could not satisfy CUDARequirement"
holds "is no success" "$out" "exit 1"

cwl 0 --validate "$example/ibid-scatter.cwl"              # and with it the two tools that it runs
cwl 0 --enable-ext --validate "$example/ibid-run-gpu.cwl"
cwl 1 --validate "$example/ibid-run-gpu.cwl"              # the control: the requirement is an extension
holds "it is named" "$out$err" "CUDARequirement"
# The GPU tool is the CPU's but for the device.
"$cwltool" --enable-ext --print-pre "$example/ibid-run-gpu.cwl" >gpu.json 2>/dev/null
same "what it runs" '["ibid","run"] cuda answers_name bundle_name model records shard step [74,75]' "$(jq -r '
  [(.baseCommand | tojson), .arguments[0].valueFrom, (.inputs | map(.id | split("#") | last) | sort[]), (.temporaryFailCodes | tojson)] | join(" ")' gpu.json)"

# A side file is not staged with the step: freezing puts it in.
echo "Be exact." >criteria.txt
sed -e "s|^  messages:|  files: {criteria: {path: criteria.txt, digest: sha256:$(sha256sum <criteria.txt | cut -d ' ' -f 1)}}\n&|" \
  -e "s|{{ annotation }}|{{ annotation }} {{ file('criteria') }}|" -e 's/max_tokens: .*/max_tokens: 8/' "$step" >step.yaml
printf 'on_error: record\nmax_errors: 24\n' >>step.yaml
job() { sed -e "s|\.\./quickstart/step.yaml|$scratch/$1|; s|\.\./|$root/examples/|; /^shards/d" "$example/job.yaml"; }
job step.yaml >job.yaml
cwl 1 --outdir results "$example/ibid-run.cwl" job.yaml
holds "the side file is missing" "$err" "criteria.txt: No such file"
holds "for good" "$err" "completed permanentFail"
"$ibid" freeze step.yaml -o frozen.yaml --quiet
job frozen.yaml >job.yaml
cwl 0 --outdir results --cachedir cache "$example/ibid-run.cwl" job.yaml
"$ibid" run step.yaml "$samples" --model "$model" -o whole.tsv --bundle whole.ibid.tar --quiet
same_files "a frozen step" results/answers.tsv whole.tsv
cwl 0 --outdir results --cachedir cache "$example/ibid-run.cwl" job.yaml
holds "the engine's cache" "$err" "Using cached output"

# 75 is temporary, and a job whose GPU is promised but absent fails for good.
rm bin/ibid
printf '#!/bin/sh\nexit 75\n' >bin/ibid                    # which leaves no outputs
chmod +x bin/ibid
cwl 1 --outdir results "$example/ibid-run.cwl" job.yaml
holds "75" "$err" "completed temporaryFail"
{ job frozen.yaml; sed -n '/^shards/,$p' "$example/job.yaml"; } >scattered.yaml
cwl 1 --outdir results "$example/ibid-scatter.cwl" scattered.yaml
holds "75 of a shard" "$err" "completed temporaryFail"
ln -sf "$ibid" bin/ibid
cat >bin/nvidia-smi <<'SH'
#!/bin/sh
echo '<nvidia_smi_log><attached_gpus>1</attached_gpus><cuda_version>13.0</cuda_version></nvidia_smi_log>'
SH
chmod +x bin/nvidia-smi
cwl 1 --enable-ext --outdir results "$example/ibid-run-gpu.cwl" job.yaml
holds "69" "$err" "exited with status: 69"
holds "is permanent" "$err" "completed permanentFail"
done_ok
