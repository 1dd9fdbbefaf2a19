cwlVersion: v1.2
$mixin: ibid-run.cwl
label: ibid run, on an NVIDIA GPU
$namespaces:
  cwltool: http://commonwl.org/cwltool#
requirements:
  ResourceRequirement:
    coresMin: 1
  cwltool:CUDARequirement:
    cudaVersionMin: "12.0"
    cudaComputeCapability: "8.0"
    cudaDeviceCountMin: 1
    cudaDeviceCountMax: 1
arguments:
  - prefix: --device
    valueFrom: cuda
  - prefix: --threads
    valueFrom: $(runtime.cores)
