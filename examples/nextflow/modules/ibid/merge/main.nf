process IBID_MERGE {
    tag "${meta.id}"
    label 'process_single'

    conda "${moduleDir}/environment.yml"

    input:
    tuple val(meta), path(bundles, stageAs: 'shards/?/*'), path(records, stageAs: 'records/*')   // records: of pieces the whole input, of shards []
    val suffix

    output:
    tuple val(meta), path("${prefix}.${suffix}"), emit: answers
    tuple val(meta), path("${prefix}.ibid.tar"), emit: bundle
    tuple val(meta), path("${prefix}_mqc.json"), emit: mqc
    tuple val("${task.process}"), val('ibid'), eval("ibid --version | sed 's/ibid //'"), emit: versions_ibid, topic: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    // 75, out of memory, becomes the 175 that pipelines retry.
    """
    ibid merge \\
        --bundle ${prefix}.ibid.tar \\
        --mqc ${prefix}_mqc.json \\
        -o ${prefix}.${suffix} \\
        ${records ? "--input ${records}" : ''} \\
        ${args} \\
        ${bundles} \\
        || exit \$(( \$? == 75 ? 175 : \$? ))
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.${suffix}
    touch ${prefix}.ibid.tar
    touch ${prefix}_mqc.json
    """
}
