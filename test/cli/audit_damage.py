# audit_damage.py BUNDLE FOLDER [REGEX]: copies of a bundle in FOLDER, each damaged in one way, and what audit.py says of it: "NAME EXIT-CODE" lines.
# A raw_* copy has one byte changed; in the others every digest around the change is right again, so that only what the change breaks can give it
# away. "same" has no change: the control. A sound_* copy lies about what only the model can tell. REGEX chooses among the names.
import contextlib, io, os, re, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from audit import MEDIA, Bundle, canonical, parse, verdict
from forge import copy, forge

bundle, raw, folder = Bundle(sys.argv[1]), open(sys.argv[1], "rb").read(), sys.argv[2]
config, layers = bundle.config, [l for _, l in bundle.layers]
contents = [bundle.blob(l) for l in layers]
wanted = re.compile(sys.argv[3] if len(sys.argv) > 3 else "")


def judge(name):
    with contextlib.redirect_stdout(io.StringIO()):
        code = verdict("%s/%s.tar" % (folder, name))
    print(name, code)


def flip(name, at):
    if not wanted.search("raw_" + name):
        return
    with open("%s/raw_%s.tar" % (folder, name), "wb") as out:
        out.write(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:])
    judge("raw_" + name)


def make(name, leaves=lambda records, outcomes: None, trouble=lambda table, index, trailer: None, late=lambda config: None, manifest=lambda layers, contents: None, spell=canonical):
    if wanted.search(name):
        forge(bundle, "%s/%s.tar" % (folder, name), lambda f: leaves(f.records, f.outcomes), trouble, lambda f: (late(f.config), manifest(f.layers, f.contents)), spell)
        judge(name)


for (media, l), data in zip(bundle.layers, contents):
    at, kind, size = bundle.at[bundle.entry(l)][0], media.replace(MEDIA, "").split(".")[0], l["size"]
    flip(kind, at + size // 3)
    if kind in ("records", "outcomes"):
        count = config["segments"][0]["count"]
        for part, place in ("table", size - 64 - 68 * count), ("digest", size - 64 - 68 * count + 20), ("index", size - 64 - 20 * count), ("trailer", size - 5):
            flip(kind + "_" + part, at + place)
flip("config", bundle.at[bundle.entry(bundle.manifest["config"])][0] + 40)
flip("manifest", raw.index(b'{"artifactType"', raw.index(b'"ibid_bundle"')) + 40)
index_at, index_size = bundle.at["index.json"]
for at in range(index_at, index_at + index_size):
    flip("index_%d" % (at - index_at), at)
flip("layout", bundle.at["oci-layout"][0] + 24)
flip("header", 130)
flip("end", len(raw) - 1)


def assign(target, key, value):
    target[key] = value


def swap(rows, i, j, *key):
    a, b = rows[i], rows[j]
    for k in key[:-1]:
        a, b = a[k], b[k]
    if key:
        a[key[-1]], b[key[-1]] = b[key[-1]], a[key[-1]]
    else:
        rows[i], rows[j] = b, a


most = config["config"]["decoding"]["max_tokens"]
ZERO = "sha256:" + "0" * 64
kept = "own_input_digest" if "shard" in config else "input_digest"
claims = (lambda c: c["shard"]) if "shard" in config else (lambda c: c)
make("same")
# Leaves
make("swapped_answers", lambda r, o: swap(o, 0, 1))
make("swapped_records", lambda r, o: (swap(r, 0, 1), swap(o, 0, 1)), late=lambda c: assign(claims(c), kept, claims(config)[kept]))
make("renamed", lambda r, o: (assign(r[0], "id", "chosen"), assign(o[0], "id", "chosen")))
make("doubled", lambda r, o: assign(r[1], "fields", r[0]["fields"]))
make("doubled_answered", lambda r, o: (assign(r[-1], "fields", r[0]["fields"]), assign(r[-1], "id", r[0]["id"]), assign(o[-1], "id", r[0]["id"])))
BAD = {"status": "bad_record", "text": "", "ids": [], "logprobs": [], "margins": [], "top": [], "error": "unreadable"}
make("hidden", lambda r, o: (r[0].update(prompt=None, prompt_ids=None), assign(o[0], "answers", [BAD])))
make("no_answers", lambda r, o: assign(o[0], "answers", []))
make("fewer_answers", lambda r, o: o[0]["answers"].pop())
make("more_answers", lambda r, o: o[0]["answers"].append(o[0]["answers"][0]))
make("unknown_status", lambda r, o: assign(o[0]["answers"][0], "status", "fine"))
make("fewer_margins", lambda r, o: o[0]["answers"][0]["margins"].pop())
make("margin_below_zero", lambda r, o: assign(o[0]["answers"][0]["margins"], 0, -1))
make("fewer_alternatives", lambda r, o: o[0]["answers"][0]["top"].pop())
make("token_below_zero", lambda r, o: assign(o[0]["answers"][0]["ids"], 0, -1))
make("prompt_token_below_zero", lambda r, o: assign(r[0]["prompt_ids"], 0, -1))
make("note_in_answer", lambda r, o: assign(o[0]["answers"][0], "note", "x"))
make("note_in_outcome", lambda r, o: assign(o[0], "note", "x"))
make("note_in_record", lambda r, o: assign(r[0], "note", "x"))
make("order_in_record", lambda r, o: assign(r, 0, dict(sorted(r[0].items()))))
make("note_in_truncated", lambda r, o: assign(r[0], "truncated", {"kept_bytes": 1, "total_bytes": 2, "note": "x"}))
make("prompt_half", lambda r, o: assign(r[0], "prompt_ids", None))
make("prompt_without_tokens", lambda r, o: assign(r[0], "prompt_ids", []))
for name, cut in ("uncut", {"kept_bytes": 1, "total_bytes": 2}), ("cut_text", {"kept_bytes": "\x9b", "total_bytes": 2}), ("cut_longer", {"kept_bytes": 9999, "total_bytes": 2}):
    make(name, lambda r, o: assign(r[0], "truncated", cut))
make("cut_below_zero", lambda r, o: assign(r[0], "truncated", {"kept_bytes": -1, "total_bytes": len(r[0]["fields"][1][2].encode())}))
make("cut_at_its_end", lambda r, o: assign(r[0], "truncated", dict.fromkeys(("kept_bytes", "total_bytes"), len(r[0]["fields"][1][2].encode()))))
make("answered_without_prompt", lambda r, o: (r[0].update(prompt=None, prompt_ids=None), o[0]["answers"].__delitem__(slice(1, None))))
make("answer_of_no_tokens", lambda r, o: o[0]["answers"][0].update(ids=[], logprobs=[], margins=[], top=[]))
make("answer_too_long", lambda r, o: o[0]["answers"][0].update({k: (o[0]["answers"][0][k] * 9)[:most + 1] for k in ("ids", "logprobs", "margins", "top")}))
make("answer_and_error", lambda r, o: assign(o[0]["answers"][0], "error", "x"))
for status in "template_error", "overflow", "numeric_error":
    make("answer_as_" + status, lambda r, o: o[0]["answers"][0].update(status=status, **{} if status == "numeric_error" else {"error": "x"}))
for i in [i for i, line_ in enumerate(parse(l, "leaf") for l in contents[0].split(b"\n")[:config["segments"][0]["count"]]) if line_["fields"][0][1] == "bad_record"][:1]:
    make("unreadable_answered", lambda r, o: (assign(r[i], "id", str(i + 1)), assign(o[i], "id", str(i + 1)), assign(o[i], "answers", o[0]["answers"])))
make("sound_prompt", lambda r, o: assign(r[0], "prompt", "another"))
make("sound_text", lambda r, o: assign(o[0]["answers"][0], "text", "another"))
make("sound_margin", lambda r, o: assign(o[0]["answers"][0]["margins"], 0, 9))
make("sound_template_error", lambda r, o: (r[0].update(prompt=None, prompt_ids=None), assign(o[0], "answers", [dict(BAD, status="template_error", error="x")])))
# Segments
make("table_gap", trouble=lambda t, i, e: assign(t[1], 0, t[1][0] + 1))
make("index_order", trouble=lambda t, i, e: swap(i, 0, 1))
make("index_row", trouble=lambda t, i, e: swap(i, 0, 1, 1))
make("index_id", trouble=lambda t, i, e: assign(i[-1], 0, b"\xff" * 16))
make("trailer_first", trouble=lambda t, i, e: assign(e, 1, e[1] + 1))
make("trailer_count", trouble=lambda t, i, e: assign(e, 2, e[2] + 1))
# The config blob
for key in ("step_id", "config_id", "input_digest", "records_digest", "result_digest"):
    make("forged_" + key, late=lambda c: assign(c, key, ZERO) if key != kept else assign(claims(c), kept, ZERO))
make("records", late=lambda c: assign(c, "records", c["records"] + 1))
make("statuses", late=lambda c: assign(c["statuses"], "ok", c["statuses"].get("ok", 0) + 1))
make("segment_count", late=lambda c: assign(c["segments"][0], "count", c["segments"][0]["count"] - 1))
make("segment_root", late=lambda c: assign(c["segments"][0], "outcomes", ZERO))
make("note", late=lambda c: assign(c, "note", "x"))
make("note_in_segment", late=lambda c: assign(c["segments"][0], "note", "x"))
make("space", spell=lambda c: canonical(c).replace(b":", b": ", 1))
make("format", late=lambda c: assign(c, "ibid_bundle", 1.5))
if "shard" in config:
    make("shard_index", late=lambda c: assign(c["shard"], "index", 1))
    make("shard_own", late=lambda c: assign(c["shard"], "own_input_digest", ZERO))
    make("note_in_shard", late=lambda c: assign(c["shard"], "note", "x"))
    make("shard_texts", manifest=lambda l, new: assign(new, -1, b"[[0,\"x\"]]"))
    make("shard_type", manifest=lambda l, new: None, late=lambda c: c.pop("shard"))
# Other layers
names = [media for media, _ in bundle.layers]
side, step, last = (names.index(MEDIA + "side-file.v1"), names.index(MEDIA + "step.v1+yaml"), len(names) - 1)
make("side_file", manifest=lambda l, new: assign(new, side, b"another text"))
make("side_title", manifest=lambda l, new: assign(l[side]["annotations"], "org.opencontainers.image.title", "other"))
make("side_order", manifest=lambda l, new: (swap(l, side, side + 1), swap(new, side, side + 1)))
make("layer_order", manifest=lambda l, new: (swap(l, side, step), swap(new, side, step)))
make("layer_more", manifest=lambda l, new: (l.append(copy(l[step])), new.append(new[step])))
if names[last] == MEDIA + "model-file.v1":
    make("model_file", manifest=lambda l, new: assign(new, last, b"{}"))
    make("model_title", manifest=lambda l, new: assign(l[last]["annotations"], "org.opencontainers.image.title", "other"))
    make("model_fewer", manifest=lambda l, new: (l.pop(), new.pop()))
