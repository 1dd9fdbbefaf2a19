process IBID_RUN {
    tag "${meta.id}"
    label 'process_medium'
    label 'process_gpu'

    conda "${moduleDir}/environment.yml"

    input:
    tuple val(meta), path(step), path(records, stageAs: 'records/*')   // apart from the answers, which may be called so
    tuple val(meta2), path(model, stageAs: 'model/*')
    val suffix

    output:
    tuple val(meta), path("${prefix}.${suffix}"), emit: answers
    tuple val(meta), path("${prefix}.ibid.tar"), emit: bundle
    tuple val(meta), path("${prefix}_mqc.json"), emit: mqc
    tuple val("${task.process}"), val('ibid'), eval("ibid --version | sed 's/ibid //'"), emit: versions_ibid, topic: versions
    tuple val("${task.process}"), val('cuda'), eval("ibid --version --verbose | sed -nE '/^cuda/ { s/.*not built/no CUDA available/; s/.*nvcc ([0-9.]+).*/\\1/; p }'"), emit: versions_cuda, topic: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    // A task that was given a GPU has to use it, and one that was not must leave it to others. The answers are the same bytes.
    def device = task.accelerator ? 'cuda' : 'cpu'
    // Nextflow does not notice a change inside a staged folder: it would keep the answers of another model.
    if (model instanceof Path && model.isDirectory()) {
        error("Give the files of the model's folder, files('FOLDER/*'), not the folder itself")
    }
    // 75, out of memory or a busy GPU, becomes the 175 that pipelines retry.
    """
    ibid run \\
        --model ${model instanceof List ? 'model' : model} \\
        --device ${device} \\
        --threads ${task.cpus} \\
        --bundle ${prefix}.ibid.tar \\
        --mqc ${prefix}_mqc.json \\
        -o ${prefix}.${suffix} \\
        ${args} \\
        ${step} \\
        ${records} \\
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
