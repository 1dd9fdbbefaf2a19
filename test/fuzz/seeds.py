# seeds.py ROOT IBID OUT: a small corpus for each format of fuzz.cc, OUT/FORMAT/..., from the repository's files and from bundles that
# the program IBID makes. Parts of an input stand one behind another with CUT between them, as fuzz.cc takes them.
import glob, gzip, json, os, struct, subprocess, sys, tarfile, tempfile

root, ibid, out = sys.argv[1:]
CUT = b"\n%%%%\n"
counts = {}


def seed(kind, *parts):
    os.makedirs(f"{out}/{kind}", exist_ok=True)
    counts[kind] = counts.get(kind, 0) + 1
    with open(f"{out}/{kind}/{counts[kind]:03}", "wb") as f:
        f.write(CUT.join(p if isinstance(p, bytes) else p.encode() for p in parts))


def read(path):
    return open(f"{root}/{path}", "rb").read()


def dumps(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


model = "examples/models/biosample-tiny"
quick = "examples/quickstart"
tokenizers = json.loads(read("test/data/tokenizer_cases.json"))
templates = json.loads(read("test/golden/template_cases.json"))

# --- texts
for path in glob.glob(f"{root}/{model}/*config.json") + glob.glob(f"{root}/examples/qc-triage/reports/*/*.json")[:2]:
    seed("json", open(path, "rb").read())
for text in ["[[]]", "[1,[]]", '{"a":[null,true,-0.5e-7,"\\u00e9\\ud83d\\ude00"]}', '"a\\n b\\n"', '{"":"x: y","#":" - "}', "9007199254740993", "[1e400]"]:
    seed("json", text)
for path in glob.glob(f"{root}/examples/*/step.yaml") + glob.glob(f"{root}/test/data/manifest/*.yaml"):
    seed("manifest", open(path, "rb").read())
seed("template", json.loads(read(f"{model}/tokenizer_config.json"))["chat_template"])
cases = templates["cases"]
for case in cases[:: max(1, len(cases) // 150)]:
    seed("template", case[0] if isinstance(case, list) else case["template"], dumps(templates["variables"]))

# --- records
table = b"".join(read(f"{quick}/samples.tsv").splitlines(True)[:6])
lines = b"".join(read("examples/smollm2/methods.jsonl").splitlines(True)[:3])
seed("records", b"tsv sample\n" + table)
seed("records", b"csv sample\n" + table.replace(b"\t", b",").replace(b"liver", b'"liver ""x""\n"'))
seed("records", b"jsonl\n" + lines)
seed("records", b'jsonl id\n{"id":1,"a":[1.0,{"b":null}]}\n\n{"id":"x"}\n{"id":1}\n{"a":\n')
seed("records", b"text\nA\r\n\n\xff\\B")
seed("records", b"fasta\n>s1 first one\nACGT\nAC\n;c\n>s2\n\n>s1\nA")
seed("records", b"files\n\xef\xbb\xbfall of it")
packed = gzip.compress(table[:200], mtime=0)
seed("records", b"tsv sample\n" + packed + packed + bytes(9))
seed("records", b"text\n" + subprocess.run(["zstd", "-qc"], input=table[:200], stdout=subprocess.PIPE, check=True).stdout)


# --- tokenizers: byte by byte, and those of the cases
def letter_of(b, behind=[b for b in range(256) if not (0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE)]):
    return chr(0x100 + behind.index(b)) if b in behind else chr(b)


alphabet = [letter_of(b) for b in range(256)]
vocabulary = {t: i for i, t in enumerate(alphabet + ["Ġl", "iv", "er", "iver"])}
bytewise = {"version": "1.0", "added_tokens": [], "normalizer": None, "post_processor": None, "decoder": {"type": "ByteLevel"},
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
            "model": {"type": "BPE", "vocab": vocabulary, "merges": ["Ġ l", "i v", "e r", "iv er"]}}
text = "Die Leber, é x 12\n  <s>don't\t"
seed("tokenizer", dumps(bytewise), "{}", text)
for case in tokenizers:
    seed("tokenizer", dumps(case["tokenizer"]), '{"bos_token":"<s>","eos_token":{"content":"</s>"}}', text)


# --- models of one layer: hidden 8, two heads of 4, one for keys and values, 16 within, a vocabulary of 10 or of its tokenizer
def shapes(vocab, arch):
    yield "token_embd.weight", "model.embed_tokens.weight", [vocab, 8]
    yield "output_norm.weight", "model.norm.weight", [8]
    for gguf, name, shape in [("attn_norm", "input_layernorm", [8]), ("ffn_norm", "post_attention_layernorm", [8]), ("attn_q", "self_attn.q_proj", [8, 8]),
                              ("attn_k", "self_attn.k_proj", [4, 8]), ("attn_v", "self_attn.v_proj", [4, 8]), ("attn_output", "self_attn.o_proj", [8, 8]),
                              ("ffn_gate", "mlp.gate_proj", [16, 8]), ("ffn_up", "mlp.up_proj", [16, 8]), ("ffn_down", "mlp.down_proj", [8, 16])]:
        yield f"blk.0.{gguf}.weight", f"model.layers.0.{name}.weight", shape
        if arch == "qwen2" and gguf in ("attn_q", "attn_k", "attn_v"):
            yield f"blk.0.{gguf}.bias", f"model.layers.0.{name}.bias", shape[:1]
        if arch == "qwen3" and gguf in ("attn_q", "attn_k"):
            yield f"blk.0.{gguf}_norm.weight", f"model.layers.0.{name.replace('proj', 'norm')}.weight", [4]


def floats(shape):
    n = shape[0] * (shape[1] if len(shape) > 1 else 1)
    return struct.pack(f"<{n}f", *[(i * 37 % 255 - 127) / 64 for i in range(n)])


def string(s):
    return struct.pack("<Q", len(s.encode())) + s.encode()


def array(kind, items):
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


def gguf(arch, tokens, extra):
    sizes = {"block_count": 1, "context_length": 64, "embedding_length": 8, "feed_forward_length": 16, "attention.head_count": 2, "attention.head_count_kv": 1}
    pairs = [("general.architecture", 8, string(arch))] + [(f"{arch}.{k}", 4, struct.pack("<I", v)) for k, v in sizes.items()]
    pairs += [(f"{arch}.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)), ("tokenizer.ggml.tokens", 9, array(8, [string(t) for t in tokens]))]
    pairs += extra
    infos, data = b"", b""
    for name, _, shape in shapes(len(tokens), arch):
        infos += string(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in shape[::-1]) + struct.pack("<IQ", 0, len(data))
        data += floats(shape)
        data += bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, infos.count(b".weight") + infos.count(b".bias"), len(pairs))
    head += b"".join(string(k) + struct.pack("<I", t) + v for k, t, v in pairs) + infos
    return head + bytes(-len(head) % 32) + data


word = lambda s: (8, string(s))
control = lambda ids, n: array(5, [struct.pack("<i", 3 if i in ids else 1) for i in range(n)])
letters = alphabet[:256] + ["iv", "er", "iver", "<s>"]
for arch in ("qwen2", "qwen3"):
    seed("gguf", gguf(arch, letters, [("tokenizer.ggml.model", *word("gpt2")), ("tokenizer.ggml.pre", *word("qwen2")), ("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", 259)),
         ("tokenizer.ggml.token_type", 9, control({259}, 260)), ("tokenizer.ggml.merges", 9, array(8, [string("i v"), string("e r"), string("iv er")]))]))
pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + ["▁", "l", "i", "v", "▁li"]
seed("gguf", gguf("llama", pieces, [("tokenizer.ggml.model", *word("llama")), ("tokenizer.ggml.token_type", 9, control({0, 1, 2}, len(pieces))),
     ("tokenizer.ggml.scores", 9, array(6, [struct.pack("<f", -i) for i in range(len(pieces))]))]))

config = {"architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
          "vocab_size": 10, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "tie_word_embeddings": True, "hidden_act": "silu", "eos_token_id": 2, "bos_token_id": 1}
scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
for extra, arch in [({}, "llama"), ({"rope_scaling": scaling, "rope_theta": 5e5}, "llama"), ({"architectures": ["Qwen2ForCausalLM"], "use_sliding_window": False}, "qwen2"),
                    ({"architectures": ["Qwen3ForCausalLM"], "head_dim": 4}, "qwen3")]:
    header, data = {}, b""
    for _, name, shape in shapes(10, arch):
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(floats(shape))]}
        data += floats(shape)
    text = dumps(header).encode()
    text += b" " * (-len(text) % 8)
    seed("folder", dumps({**config, **extra}), '{"eos_token_id":[2,3]}', struct.pack("<Q", len(text)) + text + data)


# --- bundles: as they are, and as parts whose digests fuzz.cc makes right
def parts_of(path):
    tar = tarfile.open(path)
    blobs = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
    get = lambda digest: blobs["blobs/sha256/" + digest[7:]]
    manifest = json.loads(get(json.loads(blobs["index.json"])["manifests"][0]["digest"]))
    config = json.loads(get(manifest["config"]["digest"]))
    layers = [get(l["digest"]) for l in manifest["layers"]]
    manifest["config"].update(digest="@digest 0", size="@size 0")
    for i, layer in enumerate(manifest["layers"]):
        layer.update(digest=f"@digest {i + 2}", size=f"@size {i + 2}")
    for i, key in enumerate(("records", "outcomes")):
        layers[i] = f"segment {config['segments'][0]['first']}\n".encode() + b"\n".join(layers[i].split(b"\n")[:config["records"]])
        config["segments"][0][key] = f"@root {i + 2}"
    config.update(config_id="@config", step_id="@step", input_digest="@input", records_digest="@roots 2", result_digest="@roots 3")
    if "shard" in config:
        config["shard"].update(own_input_digest="@input", token_texts=f"@digest {len(layers) + 1}")
    return [dumps(config), dumps(manifest)] + layers


with tempfile.TemporaryDirectory() as folder:
    step = read(f"{quick}/step.yaml").replace(b"max_tokens: 120", b"max_tokens: 3").replace(b"output:", b"on_error: record\nmax_errors: 9\noutput:\n  logprobs: 2", 1)
    open(f"{folder}/step.yaml", "wb").write(step)
    open(f"{folder}/in.tsv", "wb").write(b"".join(table.splitlines(True)[:3]) + b"a\tx\nodd\n")
    for name, extra in [("whole", []), ("shard", ["--shard", "1/1"])]:
        bundle = f"{folder}/{name}.tar"
        subprocess.run([ibid, "run", f"{folder}/step.yaml", f"{folder}/in.tsv", "--model", f"{root}/{model}", "-o", "/dev/null", "--bundle", bundle, "--quiet", *extra], check=True)
        seed("tar", open(bundle, "rb").read())
        seed("bundle", *parts_of(bundle))
