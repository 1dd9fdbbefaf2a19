#!/usr/bin/env bash
# The quickstart's step as a Snakemake workflow: four shards, merged, held against the digests in config/config.yaml, verified.
#   run.sh [--no-install]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/workflow.sh"
begin_example snakemake "$@"
need_snakemake
workflow() {
  "$snakemake" --cores 2 --directory "$work" --snakefile "$here/workflow/Snakefile" --configfile "$here/config/config.yaml" \
    --config step="$step" records="$samples" model="$model" --quiet host rules
}

title "the workflow"
workflow
cat "$work/results/verified.txt"
compare "$work/results/answers.tsv" "$work/results/answers.ibid.tar"

title "again"
workflow
