"""Are the numbers that MultiQC read of a step those of its bundle?
   multiqc_check.py IBID MULTIQC_DATA ROW BUNDLE OUTPUT.tsv [PROCESS]
Counts the bundle's records anew, one 'ibid show --json' for each id of OUTPUT.tsv, and compares with == every number of the row ROW that
MultiQC's parsed data holds, and the version that it shows for PROCESS. Says what differs and exits 1."""
import csv, itertools, json, os, subprocess, sys

REFUSALS = ("overflow", "template_error", "bad_record", "numeric_error")


def show(ibid, *args): return subprocess.run([ibid, "show", *args], check=True, capture_output=True, text=True).stdout


def expected(ibid, bundle, output):
    with open(output, encoding="utf-8", newline="") as f: ids = list(dict.fromkeys(line.split("\t")[0] for line in f.read().splitlines()[1:]))
    counts = dict.fromkeys(("ok", "truncated") + REFUSALS + ("prompts_cut", "prompt_tokens", "answer_tokens"), 0)
    pairs = equal = samples = 0
    for id in ids:
        record, outcome = map(json.loads, show(ibid, bundle, id, "--json").splitlines())
        answers = outcome["answers"]
        counts[next((a["status"] for a in answers if a["status"] != "ok"), "ok")] += 1
        counts["prompts_cut"] += "truncated" in record
        counts["prompt_tokens"] += len(record.get("prompt_ids") or [])
        counts["answer_tokens"] += sum(len(a.get("ids") or []) for a in answers)
        samples = max(samples, len(answers))
        texts = [a["text"] for a in answers if a["status"] in ("ok", "truncated")]
        for a, b in itertools.combinations(texts, 2): pairs, equal = pairs + 1, equal + (a == b)
    percent = lambda part, whole: (2000 * part + whole) // (2 * whole) / 10        # one decimal, half up
    head = dict(line.split(None, 1) for line in show(ibid, bundle).splitlines()[:6])
    short = {key: head[key][7:19] for key in ("model", "config", "step", "result")}
    row = {"records": len(ids), "ok_share": percent(counts["ok"], len(ids)), "refused": sum(counts[r] for r in REFUSALS), **counts,
           **short}
    if samples > 1: row |= {"samples": samples, "agreement": percent(equal, pairs)}
    return row


def main(ibid, data, name, bundle, output, process=None):
    path, parsed = os.path.join(data, "multiqc_data.json"), {}
    if os.path.exists(path):                              # MultiQC writes nothing where it finds nothing
        with open(path) as f: parsed = json.load(f)["report_saved_raw_data"]
    row = parsed.get("multiqc_ibid_table", {}).get(name)
    if row is None: return [f"MultiQC has no row '{name}'"]
    row.pop("shard", None)                                # says which part; the caller looks at it
    want = expected(ibid, bundle, output)
    wrong = [f"{key}: MultiQC read {row.get(key)}, the bundle says {want.get(key)}" for key in sorted(row.keys() | want.keys()) if row.get(key) != want.get(key)]
    if process:
        version = subprocess.run([ibid, "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
        with open(os.path.join(data, "multiqc_software_versions.txt")) as f: shown = {r["Sample"]: r.get("ibid") for r in csv.DictReader(f, delimiter="\t")}
        if shown.get(process) != version: wrong.append(f"versions: {process} has {shown.get(process)}, the program is {version}")
    return wrong


problems = main(*sys.argv[1:])
for p in problems: print(p)
sys.exit(1 if problems else 0)
