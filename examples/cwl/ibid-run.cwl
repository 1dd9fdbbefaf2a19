cwlVersion: v1.2
class: CommandLineTool
label: ibid run, on the CPU
doc: |
  An LLM call as a deterministic step: the same step and records give the same bytes on every machine. On a GPU: ibid-run-gpu.cwl.
  cwltool stages a step alone, without the side files that it names: 'ibid freeze' makes one file of them.

hints:
  SoftwareRequirement:
    packages:
      ibid:
        version: ["0.1.0"]

requirements:
  ResourceRequirement:
    coresMin: 1

baseCommand: [ibid, run]
arguments:
  - prefix: --device
    valueFrom: cpu
  - prefix: --threads
    valueFrom: $(runtime.cores)

inputs:
  step:
    type: File
    doc: the step, frozen when it has side files
    inputBinding: {position: 1}
  records:
    type: File[]
    doc: the input; gzip and zstd are recognised by content
    inputBinding: {position: 2}
  model:
    type: [Directory, File]
    doc: the model's folder or GGUF file; the step pins its digest
    inputBinding: {prefix: --model}
  answers_name:
    type: string
    default: answers.tsv
    doc: what the file of answers is called; without *, ? and [, for an engine looks for it as for a pattern
    inputBinding: {prefix: -o}
  bundle_name:
    type: string
    default: answers.ibid.tar
    doc: what the bundle is called; as above
    inputBinding: {prefix: --bundle}
  shard:
    type: string?
    doc: the part to answer, for instance 2/8; ibid-merge.cwl puts the bundles together
    inputBinding: {prefix: --shard}

# Optional: where nothing was written, as with 75, an engine looks for outputs before it looks at temporaryFailCodes.
outputs:
  answers:
    type: File?
    outputBinding: {glob: $(inputs.answers_name)}
  bundle:
    type: File?
    outputBinding: {glob: $(inputs.bundle_name)}

successCodes: [0]
temporaryFailCodes: [74, 75]
