#!/usr/bin/env python3
"""Reads quality reports into one table, a line for each sample, with what is wrong in words.
   collect.py FOLDER >table.tsv
Every folder in FOLDER is a sample; the files in it may be FastQC's fastqc_data.txt, fastp's JSON, and what samtools flagstat, stats
and idxstats print, all recognised by their content. Where several reports speak of one thing (two mates, FastQC and fastp), the worst
value stands. What no report says stays empty. A file that is none of these, or is broken, is an error that names file and line."""
import json, math, os, re, sys

# Column, which value is the worse, when it is a finding, and the words for that. The limits are where FastQC warns, or common habit.
COLUMNS = [
    ("reads", min, lambda v: v < 1000, "there are only {} reads"),
    ("q30_pct", min, None, None),
    ("end_quality", min, lambda v: v < 20, "quality falls to Q{} at the ends of the reads"),
    ("adapter_pct", max, lambda v: v >= 5, "{} % of the reads contain adapter"),
    ("duplicate_pct", max, lambda v: v >= 20, "{} % of the reads are duplicates"),
    ("mapped_pct", min, lambda v: v < 80, "only {} % of the reads map to the reference"),
    ("mismatch_pct", max, lambda v: v >= 2, "{} % of the bases are mismatches"),
    ("phix_pct", max, lambda v: v >= 1, "{} % of the mapped reads are PhiX"),
]


class Broken(Exception):
    """A report that cannot be read: where, and why."""


def number(text, where):
    """A number, or None where the tool had nothing to divide by."""
    if text.strip(" %-").lower() in ("nan", "n/a"): return None
    try: value = float(text)
    except ValueError: raise Broken(f"{where}: '{text}' is not a number") from None
    if not math.isfinite(value): raise Broken(f"{where}: '{text}' is not a number")
    return value


def share(part, whole): return 100 * part / whole if whole and part is not None else None


def fastqc(path, lines):
    module, rows = None, []
    for n, line in enumerate(lines[1:], 2):
        cells, where = line.rstrip("\t").split("\t"), f"{path}:{n}"
        if line == ">>END_MODULE": module = None
        elif line.startswith(">>"):
            if module: raise Broken(f"{where}: '{module}' has not ended")
            if len(cells) != 2 or cells[1] not in ("pass", "warn", "fail"): raise Broken(f"{where}: expected '>>MODULE<TAB>pass, warn or fail'")
            module, verdict = cells[0][2:], cells[1]
            if verdict == "fail": yield "fastqc_fail", module
        elif not module: raise Broken(f"{where}: a line outside of a module")
        elif len(cells) < 2: raise Broken(f"{where}: expected at least two columns")
        elif cells[0] == "Total Sequences": yield "reads", number(cells[1], where)
        elif cells[0] == "#Total Deduplicated Percentage":
            distinct = number(cells[1], where)
            yield "duplicate_pct", None if distinct is None else 100 - distinct
        elif cells[0] == "#Total Duplicate Percentage": yield "duplicate_pct", number(cells[1], where)     # before 0.11
        elif line.startswith("#"): continue
        elif module == "Adapter Content":
            for cell in cells[1:]: yield "adapter_pct", number(cell, where)
        elif module == "Per base sequence quality": rows.append(number(cells[1], where))
    if module: raise Broken(f"{path}:{len(lines)}: the file ends within '{module}'")
    if rows: yield "end_quality", rows[-1]


def fastp(path, report):
    def get(*keys):
        value = report
        for key in keys: value = value.get(key) if isinstance(value, dict) else None
        if value is None or isinstance(value, (int, float)) and not isinstance(value, bool): return value
        raise Broken(f"{path}: {'.'.join(keys)} is not a number")
    reads, trimmed = get("summary", "before_filtering", "total_reads"), get("adapter_cutting", "adapter_trimmed_reads")
    yield "reads", reads
    yield "q30_pct", share(get("summary", "before_filtering", "q30_rate"), 1)
    yield "duplicate_pct", share(get("duplication", "rate"), 1)
    yield "adapter_pct", share(trimmed, reads)


def flagstat(path, lines):
    counts = {}
    for n, line in enumerate(lines, 1):
        match = re.fullmatch(r"(\d+) \+ \d+ ([^(]+?)(?: \(.*\))?", line)
        if not match: raise Broken(f"{path}:{n}: expected 'N + N WORDS', as samtools flagstat prints")
        counts.setdefault(match[2], int(match[1]))
    if "mapped" not in counts: raise Broken(f"{path}:{len(lines)}: no line says how many reads are mapped")
    kind = "primary " if "primary mapped" in counts else ""        # from 1.13 on: reads, not alignments
    whole = counts.get("primary", 0) if kind else counts["in total"]
    yield "reads", whole
    yield "mapped_pct", share(counts[kind + "mapped"], whole)


def stats(path, lines):
    for n, line in enumerate(lines, 1):
        cells = line.split("\t")
        if cells[0] == "SN" and len(cells) < 3: raise Broken(f"{path}:{n}: expected 'SN<TAB>NAME:<TAB>NUMBER'")
        if cells[:2] == ["SN", "error rate:"]: yield "mismatch_pct", 100 * number(cells[2], f"{path}:{n}")
        if cells[:2] == ["SN", "sequences:"]: yield "reads", number(cells[2], f"{path}:{n}")


def idxstats(path, lines):
    mapped = {}
    for n, line in enumerate(lines, 1):
        match = re.fullmatch(r"([^\t]+)\t\d+\t(\d+)\t\d+", line)
        if not match: raise Broken(f"{path}:{n}: expected four columns, as samtools idxstats prints")
        mapped[match[1]] = int(match[2])
    phix = [count for name, count in mapped.items() if name.lower().startswith(("phix", "nc_001422"))]
    if phix: yield "phix_pct", share(sum(phix), sum(mapped.values()))


def read_report(path):
    """(column, value) pairs of a report; none for FastQC's summary.txt, which repeats what fastqc_data.txt says."""
    # Names of reads and files may be in any encoding; what is used are numbers, and FastQC's names of its modules.
    with open(path, encoding="utf-8", errors="replace", newline=None) as f: text = f.read()
    lines = text.rstrip("\n").split("\n")
    head = lines[0]
    if head.startswith("##FastQC\t"): return list(fastqc(path, lines))
    if head.startswith(("PASS\t", "WARN\t", "FAIL\t")): return []
    if re.match(r"\d+ \+ \d+ in total", head): return list(flagstat(path, lines))
    if head.startswith("# This file was produced by samtools stats"): return list(stats(path, lines))
    if re.fullmatch(r"[^\t]+\t\d+\t\d+\t\d+", head): return list(idxstats(path, lines))
    if head.startswith("{"):
        try: report = json.loads(text)
        except json.JSONDecodeError as e: raise Broken(f"{path}:{e.lineno}: {e.msg}") from None
        if isinstance(report.get("summary"), dict) and "before_filtering" in report["summary"]: return list(fastp(path, report))
    raise Broken(f"{path}: neither FastQC, fastp nor samtools flagstat, stats or idxstats wrote this")


def read_sample(folder):
    files = sorted(os.path.join(at, f) for at, _, names in os.walk(folder) for f in names if not f.startswith("."))
    if not files: raise Broken(f"{folder}: no report")
    found, failed = {}, []
    for path in files:
        pairs = read_report(path)
        if ("reads", 0) in pairs: pairs = [("reads", 0)]   # a report about no reads says nothing else
        for column, value in pairs:
            if column == "fastqc_fail": failed.append(value)
            elif value is not None: found.setdefault(column, []).append(value)
    row, findings = {}, []
    for column, worse, is_finding, words in COLUMNS:
        if column not in found: continue
        value = worse(found[column])
        row[column] = str(int(value)) if column == "reads" else f"{value:.1f}"
        if is_finding and is_finding(value): findings.append(words.format(f"{value:.0f}"))
    row["fastqc_fail"] = ", ".join(dict.fromkeys(failed))
    row["findings"] = "; ".join(findings) or "no problem was found"
    return row


def main(argv):
    if len(argv) != 2: sys.exit(__doc__)
    columns = ["sample"] + [c[0] for c in COLUMNS] + ["fastqc_fail", "findings"]
    samples = sorted(e.name for e in os.scandir(argv[1]) if e.is_dir())
    if not samples: raise Broken(f"{argv[1]}: no folder in it, so no sample")
    table = ["\t".join(columns)]
    for sample in samples:
        if re.search(r"[\t\r\n]", sample): raise Broken(f"{argv[1]}: {sample!r} cannot stand in a table")
        row = read_sample(os.path.join(argv[1], sample)) | {"sample": sample}
        table.append("\t".join(row.get(c, "") for c in columns))
    print("\n".join(table))


try: main(sys.argv)
except (Broken, OSError) as e:
    print(f"collect.py: {e}", file=sys.stderr)
    sys.exit(65)
