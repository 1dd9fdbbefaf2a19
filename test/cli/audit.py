#!/usr/bin/env python3
"""audit.py BUNDLE [RECORD]: checks a bundle, or proves one record of it and prints its two leaves, without ibid.

Written from step/BUNDLE.md and the comments at the heads of step/segment.h, leaves.h and records.h, not from ibid's code: that it
agrees with `ibid verify` shows that they are enough. It knows no model: whether an answer is the model's, only `ibid rerun` says.
Exit 0: sound; 1: no such record; 4: damaged, and a line says what.
"""
import hashlib, hmac, json, re, struct, sys, tarfile
from collections import Counter
from decimal import Decimal

SEGMENT = 8192
STATUSES = ("ok", "truncated", "overflow", "template_error", "bad_record", "numeric_error")
MEDIA = "application/vnd.ibid."
OCI = "application/vnd.oci.image."


class Damaged(Exception):
    pass


def need(true, what):
    if not true:
        raise Damaged(what)


# ---- digests ------------------------------------------------------------------------------------------------------------------
def sha(data):
    return hashlib.sha256(data).digest()


def named(digest):
    return "sha256:" + digest.hex()


def leaf_digest(record_id, line):
    return sha(hmac.new(b"ibid public leaf key v1", record_id.encode(), "sha256").digest() + line)


def merkle(nodes):                                            # RFC 6962, over hashed leaves or the roots of whole subtrees
    if len(nodes) < 2:
        return nodes[0] if nodes else sha(b"")
    k = 1 << (len(nodes) - 1).bit_length() - 1
    return sha(b"\1" + merkle(nodes[:k]) + merkle(nodes[k:]))


# ---- JSON, strictly, and back to its bytes --------------------------------------------------------------------------------------
def parse(data, what):
    def pairs(found):
        need(len(dict(found)) == len(found), what + ": a key stands twice")
        return dict(found)
    def number(text):
        need(text not in ("NaN", "Infinity", "-Infinity"), what + ": not a number of JSON")
        return int(text) if text.lstrip("-").isdigit() and text != "-0" else float(text)
    try:
        return json.loads(data.decode(), object_pairs_hook=pairs, parse_constant=number, parse_int=number)
    except ValueError as e:
        raise Damaged("%s: %s" % (what, e))


def double(x):                                                # as ECMAScript writes it (RFC 8785, 3.2.2.3)
    if x == 0 or 1e-6 <= abs(x) < 1e21:
        return format(Decimal(repr(x or 0.0)).normalize(), "f")
    return re.sub(r"(\.0)?e", "e", "%se%+d" % (repr(x).split("e")[0], int(repr(x).split("e")[1])))


def single(x):                                                # shortest that reads back to the same float32; plain, if that is no longer
    near = lambda t: struct.unpack("f", struct.pack("f", float(t)))[0]
    exponent = next(t for t in ("%.*e" % (digits, near(x)) for digits in range(9)) if near(t) == near(x))
    return min(format(Decimal(exponent), "f"), exponent, key=len)


def text(value, number=double, order=lambda keys: sorted(keys, key=lambda k: k.encode("utf-16-be"))):
    again = lambda v: text(v, number, order)
    if isinstance(value, dict):
        return "{" + ",".join(again(k) + ":" + again(value[k]) for k in order(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(again, value)) + "]"
    return number(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def canonical(value):
    return text(value).encode()


def keys(value, must, may, what):                             # these, in this order
    need(isinstance(value, dict) and list(value) == [k for k in must if k in value or k not in may], what + ": other keys")


# ---- the carrier ----------------------------------------------------------------------------------------------------------------
class Bundle:
    def __init__(self, path):
        self.file = open(path, "rb")
        members = tarfile.open(fileobj=self.file).getmembers()
        files = [m for m in members if not m.isdir()]
        self.at = {m.name: (m.offset_data, m.size) for m in files}
        need(all(m.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not m.issparse() for m in files) and len(self.at) == len(files), "carrier: more than files, or two of one name")
        need(not any(m.name.startswith("/") or ".." in m.name.split("/") for m in members), "carrier: a name that leads out")
        ends = [0] + [m.offset_data + (m.size + 511) // 512 * 512 for m in members]
        need(all(m.offset == end for m, end in zip(members, ends)), "carrier: entries that do not follow each other")
        self.file.seek(max(m.offset_data + (m.size + 511) // 512 * 512 for m in members))
        end = self.file.read()
        need(len(end) >= 1024 and not end.strip(b"\0"), "carrier: its end")
        need(parse(self.read("oci-layout"), "oci-layout")["imageLayoutVersion"] == "1.0.0", "oci-layout")
        index = parse(self.read("index.json"), "index.json")
        manifests = index["manifests"]
        need(len(manifests) == 1, "index.json: not exactly one manifest")
        need(index["schemaVersion"] == 2 and index.get("mediaType", OCI + "index.v1+json") == OCI + "index.v1+json", "index.json: not an index")
        need(manifests[0]["mediaType"] == OCI + "manifest.v1+json", "index.json: not a manifest")
        need(set(index) <= {"schemaVersion", "mediaType", "artifactType", "manifests", "annotations"}, "index.json: an unknown key")
        need(set(manifests[0]) <= {"mediaType", "digest", "size", "artifactType", "annotations", "platform"}, "index.json: an unknown key")
        self.manifest = parse(self.blob(manifests[0]), "manifest")
        need(manifests[0].get("artifactType", self.manifest.get("artifactType")) == self.manifest.get("artifactType"), "index.json: its artifact type")
        need(set(self.manifest) <= {"schemaVersion", "mediaType", "artifactType", "config", "layers", "annotations"}, "manifest: an unknown key")
        need((self.manifest["schemaVersion"], self.manifest["mediaType"], self.manifest["config"]["mediaType"]) ==
             (2, OCI + "manifest.v1+json", MEDIA + "bundle.config.v1+json"), "manifest: its types")
        config = self.blob(self.manifest["config"])
        self.config, self.id = parse(config, "config"), named(sha(config))
        need(canonical(self.config) == config, "config: not canonical")
        need(self.manifest.get("artifactType") == MEDIA + ("shard.v1" if "shard" in self.config else "bundle.v1"), "manifest: its artifact type")
        self.layers = [(l["mediaType"], l) for l in self.manifest["layers"]]
        left = set(self.at) - {self.entry(l) for l in [manifests[0], self.manifest["config"]] + self.manifest["layers"]} - {"index.json", "oci-layout"}
        need(not left, "carrier: files that nothing names: %s" % left)

    def read(self, entry, start=0, length=None):
        need(entry in self.at, "carrier: no " + entry)
        self.file.seek(self.at[entry][0] + start)
        return self.file.read(self.at[entry][1] if length is None else length)

    def entry(self, d):
        return "blobs/" + d["digest"].replace(":", "/")

    def blob(self, d):
        data = self.read(self.entry(d))
        need(len(data) == d["size"] and named(sha(data)) == d["digest"], "blob %s: other bytes than its name says" % d["digest"])
        return data

    def segments(self):
        for i, s in enumerate(self.config["segments"]):
            for kind, (media, layer) in zip(("records", "outcomes"), self.layers[2 * i:2 * i + 2]):
                need(media == MEDIA + kind + ".v1", "manifest: no %s segment %d" % (kind, i))
            yield tuple(Segment(self, self.layers[2 * i + j][1], s, kind, i) for j, kind in enumerate(("records", "outcomes")))


# ---- a segment: trailer, table and index are read and proved by the root in the config blob; leaves one by one ----------------------
def are_tokens(ids):                                          # what int32 holds from 0 on
    return all(type(i) is int and 0 <= i < 1 << 31 for i in ids)


class Segment:
    def __init__(self, bundle, layer, segment, kind, i):
        self.what, self.kind, self.count = "%s segment %d" % (kind, i), kind, segment["count"]
        self.read = lambda at, n: bundle.read(bundle.entry(layer), at, n)
        index = layer["size"] - 64 - 20 * self.count
        table = index - 48 * self.count
        trailer = struct.pack("<8s4Q24x", b"ibidseg1", segment["first"], self.count, table, index)
        need(bundle.at[bundle.entry(layer)][1] == layer["size"] and table >= 0 and self.read(index + 20 * self.count, 64) == trailer, self.what + ": its trailer")
        self.rows = list(struct.iter_unpack("<QQ32s", self.read(table, 48 * self.count)))
        self.index = list(struct.iter_unpack("<16sI", self.read(index, 20 * self.count)))
        need(named(merkle([sha(b"\0" + digest) for _, _, digest in self.rows])) == segment[kind], self.what + ": its root")
        ends = [0] + [offset + length + 1 for offset, length, _ in self.rows]
        need(ends == [offset for offset, _, _ in self.rows] + [table], self.what + ": gaps in its body")

    def line(self, row):
        line = self.read(self.rows[row][0], self.rows[row][1] + 1)
        need(line[-1:] == b"\n", self.what + ": a line without its end")
        return line[:-1]

    def leaf(self, row):
        where, line = "%s, row %d" % (self.what, row), self.line(row)
        value = parse(line, where)
        need(text(value, single, list).encode() == line, where + ": not written as ibid does")
        need(leaf_digest(value["id"], line) == self.rows[row][2], where + ": another leaf digest")
        if self.kind == "records":
            keys(value, ["id", "fields", "prompt", "prompt_ids", "truncated"], ["truncated"], where)
            keys(value.get("truncated", {}), ["kept_bytes", "total_bytes"] * ("truncated" in value), [], where)
            need((value["prompt"] is None) == (value["prompt_ids"] is None) and value["prompt_ids"] != [], where + ": its prompt")
            need(are_tokens(value["prompt_ids"] or []), where + ": a token of the prompt that is none")
        else:
            keys(value, ["id", "answers"], [], where)
            need(value["answers"], where + ": no answers")
            for a in value["answers"]:
                keys(a, ["status", "text", "ids", "logprobs", "margins", "top", "error"], ["top", "error"], where)
                need(len({len(a[k]) for k in ("ids", "logprobs", "margins", "top") if k in a}) == 1, where + ": lists of other lengths")
                need(a["status"] in STATUSES, where + ": another status")
                need(all(m >= 0 for m in a["margins"]), where + ": a margin below zero")
                need(are_tokens(a["ids"] + [t for top in a.get("top", []) for t, _ in top]), where + ": a token that is none")
        return value

    def find(self, record_id):
        return [row for head, row in self.index if head == sha(record_id.encode())[:16]]


# ---- what a record is called, and whether it is a bad record, by its fields and the records before it -------------------------------
class Names:
    def __init__(self, spec):
        self.field = {"fasta": "id", "files": "name", "text": None}.get(spec["format"], spec.get("id"))
        self.seen = set()

    def of(self, fields, number):
        """Its id, and its problem: "" none, None one that only the input could show."""
        unreadable = bool(fields) and fields[0][1] == "bad_record"
        if self.field is None and not unreadable:
            return str(number), ""
        problem = None if unreadable else self.complaint(fields)
        called = "#%d" % number if problem != "" else self.own(fields)[2]
        while problem != "" and called in self.seen:
            called = "#" + called
        self.seen.add(called)
        return called, problem

    def own(self, fields):
        return next((f for f in fields if f[0] == self.field), ["", "missing", ""])

    def complaint(self, fields):
        _, kind, lexeme = self.own(fields)
        kind = {"true": "boolean", "false": "boolean", "json": "array" if lexeme[:1] == "[" else "object"}.get(kind, kind)
        what = ("is missing" if kind == "missing" else "is a JSON " + kind if kind not in ("string", "number") else "is empty" if lexeme == "" else
                "is longer than 1024 bytes" if len(lexeme.encode()) > 1024 else "holds a control character" if re.search(r"[\x00-\x1f\x7f]", lexeme) else "")
        return "the field '%s', which names the record, %s" % (self.field, what) if what else self.doubled(fields) if lexeme in self.seen else ""

    def doubled(self, fields):
        return "the field '%s', which names the record, names an earlier record too: %s" % (self.field, self.own(fields)[2])


# ---- the whole ------------------------------------------------------------------------------------------------------------------
def check_config(config):
    keys(config, sorted(["config", "config_id", "ibid_bundle", "input_digest", "records", "records_digest", "result_digest", "segments", "shard",
                         "statuses", "step_id"]), ["shard"], "config")
    need(config["ibid_bundle"] == 1, "config: another format")
    for segment in config["segments"]:
        keys(segment, ["count", "first", "outcomes", "records"], [], "config: a segment")
    need(named(sha(canonical(config["config"]))) == config["config_id"], "config: config_id")
    need(named(sha(canonical({"config": config["config_id"], "input": config["input_digest"]}))) == config["step_id"], "config: step_id")
    for kind, digest in ("records", "records_digest"), ("outcomes", "result_digest"):
        need(named(merkle([bytes.fromhex(s[kind][7:]) for s in config["segments"]])) == config[digest], "config: " + digest)
    first, end = 0, config["records"]
    if "shard" in config:
        keys(config["shard"], ["index", "input_records", "of", "own_input_digest", "token_texts"], [], "config: shard")
        total, i, n = config["shard"]["input_records"], config["shard"]["index"], config["shard"]["of"]
        need(1 <= i <= n, "config: shard %d of %d" % (i, n))
        first, end = (j * (total // n) + min(j, total % n) for j in (i - 1, i))
    cuts = [first] + [at for at in range(0, end, SEGMENT) if at > first] + [end]
    need(config["records"] == end - first, "config: records")
    need([(s["first"], s["count"]) for s in config["segments"]] == [(a, b - a) for a, b in zip(cuts, cuts[1:]) if a < b], "config: where segments are cut")
    return first


def fits(answer, prompted, most):                             # leaves.h, 2
    status, tokens = answer["status"], len(answer["ids"])
    whole, unasked = status in ("ok", "truncated"), status in ("bad_record", "template_error")
    empty = tokens == 0 and (whole or answer["text"] == "")
    return unasked != prompted and whole != ("error" in answer) and tokens <= most and (status == "numeric_error" or empty != whole)


def could_be_cut(record, field):
    kept, total = record["truncated"]["kept_bytes"], record["truncated"]["total_bytes"]
    return any(f[:2] == [field, "string"] and len(f[2].encode()) == total for f in record["fields"]) and type(kept) == int and 0 <= kept < total


def check_records(bundle, first):
    config, statuses, input_digest, number = bundle.config, Counter(), hashlib.sha256(), first
    names, decoding = Names(config["config"]["input"]), config["config"]["decoding"]
    samples = decoding.get("samples", 1)
    for pair in bundle.segments():
        heads = []
        for row in range(pair[0].count):
            number += 1
            record, outcome = (segment.leaf(row) for segment in pair)
            where = "record %d (%s)" % (number, record["id"])
            need(outcome["id"] == record["id"], where + ": the outcome is another record's")
            heads.append((sha(record["id"].encode())[:16], row))
            input_digest.update(sha(canonical(record["fields"])))
            says, error = [a["status"] for a in outcome["answers"]], outcome["answers"][0].get("error", "")
            called, problem = names.of(record["fields"], number)
            if first and "bad_record" in says and re.fullmatch("#+%d" % number, record["id"]):    # its id may have been that of an earlier shard's record
                called, problem = record["id"], names.doubled(record["fields"]) if problem == "" else problem
            need(record["id"] == called, where + ": is called %s by its fields" % called)
            need(("bad_record" in says) == (problem != ""), where + ": whether it is a bad record")
            need(not problem or problem == error, where + ": why it is a bad record")
            need(len(says) == (1 if record["prompt"] is None else samples), where + ": the number of its answers")
            need(all(fits(a, record["prompt"] is not None, decoding["max_tokens"]) for a in outcome["answers"]), where + ": an answer without the parts of its status")
            need("truncated" not in record or could_be_cut(record, decoding.get("truncate", {}).get("field")), where + ": what was cut")
            statuses[next((s for s in says if s != "ok"), "ok")] += 1
        for segment in pair:
            need(segment.index == sorted(heads), segment.what + ": its index")
    need(dict(statuses) == config["statuses"], "config: its statuses")
    need(named(input_digest.digest()) == config.get("shard", {}).get("own_input_digest", config["input_digest"]), "config: its input digest")


def check_layers(bundle):
    config, layers = bundle.config["config"], bundle.layers[2 * len(bundle.config["segments"]):]
    for _, layer in bundle.layers:
        bundle.blob(layer)
    files = lambda kind: [(l["annotations"]["org.opencontainers.image.title"], l) for media, l in layers if media == MEDIA + kind]
    side, model, texts = files("side-file.v1"), files("model-file.v1"), [MEDIA + "token-texts.v1+json"] * ("shard" in bundle.config)
    need([media for media, _ in layers] == [MEDIA + "side-file.v1"] * len(side) + [MEDIA + "step.v1+yaml"] + texts + [MEDIA + "model-file.v1"] * len(model),
         "manifest: which layers, in which order")
    need([(name, {"digest": l["digest"]}) for name, l in side] == sorted(config["prompt"]["files"].items()), "side files: not those of the step")
    need(not texts or layers[len(side) + 1][1]["digest"] == bundle.config["shard"]["token_texts"], "token texts: not those of the shard")
    if model:
        folder = named(sha(canonical([{"path": name, "sha256": l["digest"][7:], "size": l["size"]} for name, l in model])))
        need(config["model"]["digest"] in [folder] + [l["digest"] for _, l in model if len(model) == 1], "model: not that of the step")


def main(path, record_id=None):
    bundle = Bundle(path)
    first = check_config(bundle.config)
    if record_id is not None:
        for pair in bundle.segments():
            for row in pair[0].find(record_id):
                if all(segment.leaf(row)["id"] == record_id for segment in pair):
                    return print(*(segment.line(row).decode() for segment in pair), sep="\n")
        sys.exit("no record " + record_id)
    check_records(bundle, first)
    check_layers(bundle)
    print("step    %s\nresult  %s\nbundle  %s\nrecords %d" % (bundle.config["step_id"], bundle.config["result_digest"], bundle.id, bundle.config["records"]))


def verdict(*arguments):
    try:
        main(*arguments)
        return 0
    except Damaged as e:
        print("damaged: %s" % e)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, struct.error, tarfile.TarError) as e:
        print("damaged: not of a bundle's form: %r" % e)
    return 4


if __name__ == "__main__":
    sys.exit(verdict(*sys.argv[1:]))
