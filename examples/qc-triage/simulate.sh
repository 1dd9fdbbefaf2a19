#!/usr/bin/env bash
# Makes the reports that this example ships: reads are simulated, each sample with a fault of its own, and go through the tools.
#   simulate.sh FOLDER      writes FOLDER/SAMPLE/{fastqc_data.txt,SAMPLE.fastp.json,SAMPLE.flagstat,SAMPLE.stats,SAMPLE.idxstats}
# Needs fastqc, fastp, bwa and samtools. The reads depend on nothing but this file; with the tools of Debian 12 (FastQC 0.11.9,
# fastp 0.23.2, bwa 0.7.17, samtools 1.16.1) so do the reports, byte by byte.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: simulate.sh FOLDER" >&2; exit 2; }
for tool in fastqc fastp bwa samtools python3; do
  command -v $tool >/dev/null || { echo "missing: $tool; on Debian: apt-get install fastqc fastp bwa samtools python3" >&2; exit 69; }
done
mkdir -p "$1"
out=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'code=$?; [ $code -eq 0 ] || tail -n 20 "$scratch/tools.log" >&2; rm -rf "$scratch"; exit $code' EXIT
cd "$scratch"                                          # tools write the paths that they were given into their reports

python3 - <<'PY'
import random

LENGTH, GENOME, PHIX = 50, 100_000, 5_386
ADAPTER = "AGATCGGAAGAGCACACGTCTGAACTCCAGTCA"
COMPLEMENT = str.maketrans("ACGT", "TGCA")

def genome(rng, size, gc):
    return "".join("GC"[rng.random() < 0.5] if rng.random() < gc else "AT"[rng.random() < 0.5] for _ in range(size))

def fragment(rng, source, size):
    start = int(rng.random() * (len(source) - size))
    piece = source[start:start + size]
    return piece if rng.random() < 0.5 else piece.translate(COMPLEMENT)[::-1]

def sequenced(rng, template, worn):
    """Bases as called, with their qualities: errors come as often as the qualities say."""
    bases, qualities = [], []
    for i, base in enumerate(template):
        mean = 37 - 0.04 * i - (0.9 * max(0, i - 20) if worn else 0)
        if rng.random() < 0.02: mean = 12              # a bad cycle now and then, as everywhere
        q = min(40, max(2, int(mean + 6 * (rng.random() - 0.5))))
        if rng.random() < 10 ** (-q / 10): base = "ACGT"[int(4 * rng.random())]
        bases.append(base)
        qualities.append(chr(33 + q))
    return "".join(bases), "".join(qualities)

def sample(name, seed, reads=2_000, short=False, worn=False, distinct=1.0, foreign=0.0, spiked=0.0):
    """short: fragments shorter than the reads. worn: qualities fall. distinct: share of reads that are no copies. foreign: from
    another organism. spiked: from the spike-in."""
    rng = random.Random(seed)
    templates = []
    for _ in range(reads):
        if templates and rng.random() >= distinct:
            templates.append(templates[int(rng.random() * len(templates))])
            continue
        origin, size = rng.random(), LENGTH
        if short: size = 25 + int(50 * rng.random())
        source = other if origin < foreign else phix if origin < foreign + spiked else target
        templates.append((fragment(rng, source, size) + ADAPTER + "A" * LENGTH)[:LENGTH])
    with open(f"{name}.fastq", "w") as f:
        for number, template in enumerate(templates, 1):
            bases, qualities = sequenced(rng, template, worn)
            f.write(f"@{name}.{number}\n{bases}\n+\n{qualities}\n")

target, other, phix = genome(random.Random(1), GENOME, 0.42), genome(random.Random(2), GENOME, 0.66), genome(random.Random(3), PHIX, 0.45)
with open("reference.fa", "w") as f: f.write(f">target\n{target}\n>phix\n{phix}\n")
sample("clean", 11)
sample("adapters", 12, short=True)
sample("tails", 13, worn=True)
sample("copies", 14, distinct=0.3)
sample("foreign", 15, foreign=0.55)
sample("spiked", 16, spiked=0.4)
sample("few", 17, reads=90)
sample("worst", 18, short=True, worn=True)
PY

{
  bwa index reference.fa
  fastqc --quiet --extract ./*.fastq
  for fastq in *.fastq; do
    name=${fastq%.fastq}
    mkdir -p "$out/$name"
    cp "${name}_fastqc/fastqc_data.txt" "$out/$name/"
    fastp --thread 1 --adapter_sequence AGATCGGAAGAGCACACGTCTGAACTCCAGTCA -i "$fastq" -o trimmed.fastq -j "$name.fastp.json" -h fastp.html
    bwa mem reference.fa "$fastq" | samtools sort -o "$name.bam"
    samtools index "$name.bam"
    samtools flagstat "$name.bam" >"$name.flagstat"
    samtools stats "$name.bam" >"$name.stats"
    samtools idxstats "$name.bam" >"$name.idxstats"
    mv "$name.fastp.json" "$name.flagstat" "$name.stats" "$name.idxstats" "$out/$name/"
  done
} >tools.log 2>&1
