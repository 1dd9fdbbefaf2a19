#!/usr/bin/env bash
# ibid in a plain shell pipe (pipe.sh), and what becomes of a pipe when ibid fails in its middle or its end closes early.
#   run.sh [--no-install]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/workflow.sh"
begin_example shell "$@"
need_packages jq gzip
cd "$work"
gzip -c "$samples" >samples.tsv.gz

title "samples of each organism and assay"
"$here/pipe.sh" "$step" "$model" samples.tsv.gz | head -n 5

title "answers are cut short: ibid fails in the middle, and so does the pipe"
"$here/pipe.sh" "$step" "$model" samples.tsv.gz --set decoding.max_tokens=38 || echo "exit $?"

title "head closes the pipe early: ibid says so"
long_input 200 >long.tsv
ibid run "$step" long.tsv --model "$model" --quiet | head -n 3 | cut -f 1,4 || echo "exit $?"

title "standard input and output are as good as files"
zcat samples.tsv.gz | ibid run "$step" - --model "$model" --bundle piped.ibid.tar --quiet | cat >piped.tsv
compare piped.tsv piped.ibid.tar
