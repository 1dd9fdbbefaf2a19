// A table is answered in shards, or in pieces that Nextflow cuts, put together, verified, and reported.
//
// 1. A manifest is frozen before any task sees it: a side file is then part of the one file that is staged, and of the task's hash.
// 2. The model is named once, as a path; the manifest pins its digest, and no task answers with another model.
// 3. A task's hash covers everything that its answers depend on, so -resume is sound: it reuses all that did not change.

nextflow.preview.topic = true   // Nextflow before 25.04 wants to be asked

include { IBID_RUN   } from './modules/ibid/run/main'
include { IBID_MERGE } from './modules/ibid/merge/main'

process IBID_FREEZE {
    tag "${meta.id}"

    input:
    tuple val(meta), path(step), path(side)

    output:
    tuple val(meta), path("${meta.id}.frozen.yaml")

    script:
    "ibid freeze ${step} -o ${meta.id}.frozen.yaml"

    stub:
    "touch ${meta.id}.frozen.yaml"
}

process IBID_VERIFY {
    tag "${meta.id}"

    input:
    tuple val(meta), path(bundle)

    output:
    tuple val(meta), path("${meta.id}.verified.txt")

    script:
    "ibid verify ${bundle} > ${meta.id}.verified.txt"

    stub:
    "touch ${meta.id}.verified.txt"
}

process MULTIQC {
    input:
    path sections

    output:
    path 'multiqc_report.html'
    path 'multiqc_data'

    script:
    'multiqc --no-version-check .'

    stub:
    'touch multiqc_report.html && mkdir multiqc_data'
}

workflow {
    ['step', 'input', 'model'].each { if (!params[it]) error("--${it} is missing; nextflow run main.nf --step STEP.yaml --input TABLE --model MODEL") }
    step  = file(params.step, checkIfExists: true)
    side  = params.side ? params.side.tokenize(',').collect { file(it, checkIfExists: true) } : []
    table = file(params.input, checkIfExists: true)
    where = file(params.model, checkIfExists: true)
    model = [[id: where.name], where.isDirectory() ? files("${where}/*").sort() : where]

    id = table.simpleName.replaceAll(/[^A-Za-z0-9_-]/, '_')        // it becomes names of files, which modules do not quote
    IBID_FREEZE([[id: id], step, side])
    frozen = IBID_FREEZE.out.first()
    if (params.piece && !(table.name ==~ /.*\.(jsonl|ndjson|csv|tsv)(\.gz)?/)) error("--piece cuts lines of .jsonl, .ndjson, .csv and .tsv, also .gz; ${table.name} is none of them: --shards")
    parts = params.piece
        ? Channel.of(table).splitText(by: params.piece, file: true, keepHeader: !(table.name ==~ /.*\.(jsonl|ndjson)(\.gz)?/))
            .map { [it.baseName.tokenize('.').last() as int, it] }.ifEmpty { error("${table.name} has no records to cut: --shards") }
        : Channel.of(1..params.shards).map { [it, table] }
    IBID_RUN(parts.combine(frozen).map { part, records, meta, step -> [meta + [part: part], step, records] }, model, params.suffix)

    // Parts are done in any order; sorted, they are the same task for -resume.
    bundles = IBID_RUN.out.bundle.map { meta, bundle -> [meta.subMap('id'), bundle] }.groupTuple(sort: { it.name })
    IBID_MERGE(bundles.map { it + [params.piece ? table : []] }, params.suffix)
    IBID_VERIFY(IBID_MERGE.out.bundle)

    versions = Channel.topic('versions').unique().groupTuple()
        .map { process, tools, numbers -> "${process}:\n" + [tools, numbers].transpose().collect { "    ${it[0]}: ${it[1]}\n" }.sort().join() }
        .collectFile(name: 'ibid_mqc_versions.yml', sort: true, storeDir: params.outdir)
    if (params.multiqc) MULTIQC(IBID_MERGE.out.mqc.map { it[1] }.mix(versions).collect())
}
