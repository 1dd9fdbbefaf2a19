# forge.py IN OUT CODE: a bundle after Python CODE has changed its records, outcomes, config, layers or contents, with every digest right again.
import io, os, struct, sys, tarfile
from types import SimpleNamespace
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from audit import OCI, Bundle, canonical, leaf_digest, merkle, named, parse, sha, single, text

copy = lambda value: parse(canonical(value), "copy")
line = lambda value: text(value, single, list).encode()


# A segment and the root over its leaves; trouble(table, index, trailer) may spoil what ends it.
def segment(leaves, first, ids, trouble):
    body, table, digests = b"", [], []
    for record_id, leaf in zip(ids, map(line, leaves)):
        digests.append(leaf_digest(record_id, leaf))
        table.append([len(body), len(leaf), digests[-1]])
        body += leaf + b"\n"
    index = sorted([sha(i.encode())[:16], row] for row, i in enumerate(ids))
    trailer = [b"ibidseg1", first, len(ids), len(body), len(body) + 48 * len(table)]
    trouble(table, index, trailer)
    tail = b"".join(struct.pack("<QQ32s", *r) for r in table) + b"".join(struct.pack("<16sI", *r) for r in index)
    return body + tail + struct.pack("<8s4Q24x", *trailer), named(merkle([sha(b"\0" + d) for d in digests]))


# The leaves of all segments, and everything that commits to them.
def commit(f, trouble):
    start = f.config["segments"][0]["first"]
    for i, s in enumerate(f.config["segments"]):
        for j, (kind, leaves) in enumerate((("records", f.records), ("outcomes", f.outcomes))):
            of = slice(s["first"] - start, s["first"] - start + s["count"])
            f.contents[2 * i + j], s[kind] = segment(leaves[of], s["first"], [r["id"] for r in f.records[of]], trouble if j else lambda *a: None)
    says = [next((a["status"] for a in o["answers"] if a["status"] != "ok"), "ok") for o in f.outcomes]
    f.config["statuses"] = {s: says.count(s) for s in says}
    for key, kind in ("records_digest", "records"), ("result_digest", "outcomes"):
        f.config[key] = named(merkle([bytes.fromhex(s[kind][7:]) for s in f.config["segments"]]))
    own = named(sha(b"".join(sha(line(r["fields"])) for r in f.records)))
    if "shard" in f.config:
        f.config["shard"]["own_input_digest"] = own
    else:
        f.config["input_digest"] = own


def write(bundle, path, f):
    out, seen = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT), set()

    def put(name, data):
        if name not in seen:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
            seen.add(name)

    def blob(data):
        put("blobs/sha256/" + sha(data).hex(), data)
        return {"digest": named(sha(data)), "size": len(data)}
    manifest = copy(bundle.manifest)
    for layer, data in zip(f.layers, f.contents):
        layer.update(blob(data))
    manifest["layers"] = f.layers
    manifest["config"].update(blob(f.spell(f.config)))
    put("index.json", canonical({"schemaVersion": 2, "manifests": [{"mediaType": OCI + "manifest.v1+json", **blob(canonical(manifest))}]}))
    put("oci-layout", bundle.read("oci-layout"))
    out.close()


# Writes the bundle after change(f) before anything is digested, and late(f) before the config blob is, whose bytes spell(config) gives.
def forge(bundle, path, change, trouble=lambda table, index, trailer: None, late=lambda f: None, spell=canonical):
    f = SimpleNamespace(config=copy(bundle.config), layers=copy(bundle.manifest["layers"]), records=[], outcomes=[], spell=spell)
    f.contents = [bundle.blob(l) for _, l in bundle.layers]
    for i, s in enumerate(f.config["segments"]):
        for leaves, data in zip((f.records, f.outcomes), f.contents[2 * i:]):
            leaves += [parse(l, "leaf") for l in data.split(b"\n")[:s["count"]]]
    change(f)
    commit(f, trouble)
    late(f)
    for key, of in ("config_id", lambda c: c["config"]), ("step_id", lambda c: {"config": c["config_id"], "input": c["input_digest"]}):
        if f.config[key] == bundle.config[key]:               # not forged itself
            f.config[key] = named(sha(canonical(of(f.config))))
    write(bundle, path, f)


if __name__ == "__main__":
    forge(Bundle(sys.argv[1]), sys.argv[2], lambda f: exec(sys.argv[3], vars(f)))
