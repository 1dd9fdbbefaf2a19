__author__ = "The ibid authors"
__copyright__ = "Copyright 2026, the ibid authors"
__license__ = "Apache-2.0"

from shlex import quote

from snakemake.shell import shell

# The options of the named outputs.
OPTIONS = {
    "answers": "-o",
    "bundle": "--bundle",
    "mqc": "--mqc",
    "versions": "--versions",
}

log = snakemake.log_fmt_shell(stdout=True, stderr=True)
extra = snakemake.params.get("extra") or ""
outputs = dict(snakemake.output.items())
if len(outputs) < len(snakemake.output) or not outputs.keys() <= OPTIONS.keys():
    raise ValueError(f"an output is named as none of {', '.join(OPTIONS)}: {snakemake.output}")

whole = snakemake.input.get("records")
if not isinstance(whole, (str, type(None))):
    raise ValueError("input 'records' is one file: what the pieces are of")
arguments = [path for path in snakemake.input if path != whole]
if whole:
    arguments += ["--input", whole]
if "answers" not in outputs:
    arguments += ["-o", "/dev/null"]
for name, path in outputs.items():
    arguments += [OPTIONS[name], path]
arguments = " ".join(quote(str(word)) for word in arguments)

shell("ibid merge {arguments} {extra} {log}")
