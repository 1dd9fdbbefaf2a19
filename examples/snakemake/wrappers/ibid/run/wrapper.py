__author__ = "The ibid authors"
__copyright__ = "Copyright 2026, the ibid authors"
__license__ = "Apache-2.0"

from shlex import quote

from snakemake.shell import shell

# Named inputs that are no side files, and the options of the named outputs.
PLACES = ("step", "records", "model")
OPTIONS = {
    "answers": "-o",
    "bundle": "--bundle",
    "mqc": "--mqc",
    "versions": "--versions",
    "run_record": "--run-record",
}

log = snakemake.log_fmt_shell(stdout=True, stderr=True)
extra = snakemake.params.get("extra") or ""
shard = snakemake.params.get("shard", "").replace("-of-", "/")
# What the scheduler gave is what is used; the bytes are the same with both.
device = "cuda" if snakemake.resources.get("gpu", 0) else "cpu"

for name in PLACES:
    if not snakemake.input.get(name):
        raise ValueError(f"input '{name}' is missing")
records = snakemake.input.records
records = [records] if isinstance(records, str) else records
files = {k: v for k, v in snakemake.input.items() if k not in PLACES}
outputs = dict(snakemake.output.items())
if len(outputs) < len(snakemake.output) or not outputs.keys() <= OPTIONS.keys():
    raise ValueError(f"an output is named as none of {', '.join(OPTIONS)}: {snakemake.output}")

arguments = [snakemake.input.step, *records, "--model", snakemake.input.model]
for name, path in files.items():
    arguments += ["--file", f"{name}={path}"]
if shard:
    arguments += ["--shard", shard]
# Without answers only the others are wanted, as of a shard its bundle.
if "answers" not in outputs:
    arguments += ["-o", "/dev/null"]
for name, path in outputs.items():
    arguments += [OPTIONS[name], path]
arguments = " ".join(quote(str(word)) for word in arguments)

# The journal of --resume lies beside the outputs and is none of them: Snakemake leaves it there when it removes those of a failed job.
shell(
    "ibid run {arguments} --device {device} --threads {snakemake.threads}"
    " --resume {extra} {log}"
)
