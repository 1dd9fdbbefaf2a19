# forge.py IN OUT CODE: a bundle of one segment after Python CODE has changed its leaves, configuration or layers, with every digest right again.
import hashlib, hmac, io, json, struct, sys, tarfile
sha = lambda b: hashlib.sha256(b).digest()
name = lambda b: "sha256:" + hashlib.sha256(b).hexdigest()
dumps = lambda v: json.dumps(v, separators=(",", ":"), ensure_ascii=False).encode()
canon = lambda v: json.dumps(v, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()
def root(level):
    if not level: return sha(b"")
    level = [sha(b"\0" + l) for l in level]
    return up(level)
def up(level):
    while len(level) > 1: level = [sha(b"\1" + level[i] + level[i + 1]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
    return level[0]
def segment(ids, leaves):
    body, table, digests = b"", b"", []
    for i, l in zip(ids, leaves):
        d = sha(hmac.new(b"ibid public leaf key v1", i.encode(), hashlib.sha256).digest() + l)
        table += struct.pack("<QQ", len(body), len(l)) + d
        digests.append(d)
        body += l + b"\n"
    index = b"".join(h + struct.pack("<I", r) for h, r in sorted((sha(i.encode())[:16], r) for r, i in enumerate(ids)))
    return body + table + index + b"ibidseg1" + struct.pack("<QQQQ", 0, len(ids), len(body), len(body) + len(table)) + bytes(24), root(digests)
tar = tarfile.open(sys.argv[1])
blobs = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
get = lambda d: blobs["blobs/sha256/" + d[7:]]
index = json.loads(blobs["index.json"])
manifest = json.loads(get(index["manifests"][0]["digest"]))
config = json.loads(get(manifest["config"]["digest"]))
layers = manifest["layers"]
lines = lambda d: [json.loads(l) for l in get(d).split(b"\n")[:config["records"]]]
records, outcomes = lines(layers[0]["digest"]), lines(layers[1]["digest"])
contents = [get(l["digest"]) for l in layers]
exec(sys.argv[3])
ids = [r["id"] for r in records]
status = lambda o: next((a["status"] for a in o["answers"] if a["status"] != "ok"), "ok")
config["statuses"] = {}
for o in outcomes: config["statuses"][status(o)] = config["statuses"].get(status(o), 0) + 1
for k, (key, leaves) in enumerate((("records", records), ("outcomes", outcomes))):
    contents[k], r = segment(ids, [dumps(l) for l in leaves])
    config["segments"][0][key] = "sha256:" + r.hex()
    config[key.replace("outcomes", "result").replace("records", "records") + "_digest"] = "sha256:" + r.hex()
config["input_digest"] = name(b"".join(sha(canon(r["fields"])) for r in records))
config["config_id"] = name(canon(config["config"]))
config["step_id"] = name(canon({"config": config["config_id"], "input": config["input_digest"]}))
out, seen = tarfile.open(sys.argv[2], "w", format=tarfile.USTAR_FORMAT), set()
def put(path, data):
    if path in seen: return
    seen.add(path)
    info = tarfile.TarInfo(path)
    info.size = len(data)
    out.addfile(info, io.BytesIO(data))
def blob(data):
    put("blobs/sha256/" + hashlib.sha256(data).hexdigest(), data)
    return {"digest": name(data), "size": len(data)}
for layer, data in zip(layers, contents): layer.update(blob(data))
manifest["config"].update(blob(canon(config)))
index["manifests"][0].update(blob(canon(manifest)))
put("index.json", canon(index))
put("oci-layout", blobs["oci-layout"])
out.close()
