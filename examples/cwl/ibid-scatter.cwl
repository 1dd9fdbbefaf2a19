cwlVersion: v1.2
class: Workflow
label: an ibid step in shards
doc: One job for each shard, and the merge; answers and bundle are those of one job without shards.

requirements:
  ScatterFeatureRequirement: {}
  MultipleInputFeatureRequirement: {}

inputs:
  step: File
  records: File[]
  model: [Directory, File]
  shards:
    type: string[]
    doc: one for each job, for instance [1/3, 2/3, 3/3]

steps:
  run:
    run: ibid-run.cwl
    scatter: shard
    in: {step: step, records: records, model: model, shard: shards}
    out: [bundle]
  merge:
    run: ibid-merge.cwl
    in: {shards: {source: run/bundle, pickValue: all_non_null}}
    out: [answers, bundle]

outputs:
  answers: {type: File, outputSource: [merge/answers], pickValue: the_only_non_null}
  bundle: {type: File, outputSource: [merge/bundle], pickValue: the_only_non_null}
