cwlVersion: v1.2
class: CommandLineTool
label: ibid merge
doc: |
  The shards of an ibid run, in any order, into what one run without shards writes, byte by byte. A shard that is missing, doubled or
  of another run is refused.

hints:
  SoftwareRequirement:
    packages:
      ibid:
        version: ["0.1.0"]

baseCommand: [ibid, merge]

inputs:
  shards:
    type: File[]
    doc: the bundles of all shards, or of runs over all pieces of an input
    inputBinding: {position: 1}
  records:
    type: File?
    doc: of pieces, the whole input, whose records need ids
    inputBinding: {prefix: --input}
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
