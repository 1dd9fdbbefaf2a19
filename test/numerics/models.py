"""Models for the second implementation: reads a safetensors folder or a GGUF file, and writes random ones with what the shipped model lacks.

Reading gives (config, tensors): the fields of config.json, and floats under the names of Hugging Face. A random model is written as both
sides' readers find it; nothing of what was drawn is handed over.
"""
import json
import pathlib
import shutil
import struct

import numpy as np

from second import K_BLOCKS, F, k_block_bytes, k_parts, stored

BYTES = np.uint8


def read(path):
    return read_folder(pathlib.Path(path)) if pathlib.Path(path).is_dir() else read_gguf(path)


# --- safetensors

def read_folder(folder):
    config = {"head_dim": None, "rope_theta": 10000.0, "tie_word_embeddings": False} | json.loads((folder / "config.json").read_text())
    config["head_dim"] = config["head_dim"] or config["hidden_size"] // config["num_attention_heads"]
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    config["tokens"] = 1 + max(*tokenizer["model"]["vocab"].values(), *(token["id"] for token in tokenizer["added_tokens"]))
    raw = np.fromfile(folder / "model.safetensors", BYTES)
    length = int(raw[:8].view("<u8")[0])
    tensors = {}
    for name, entry in json.loads(raw[8:8 + length].tobytes()).items():
        if name != "__metadata__":
            begin, end = (8 + length + x for x in entry["data_offsets"])
            tensors[name] = stored(entry["dtype"], raw[begin:end].copy()).reshape(entry["shape"])
    return config, tensors


def write_folder(folder, like, config, tensors):
    """tensors: name to (dtype, shape, bytes); the tokenizer is that of `like`."""
    folder.mkdir()
    shutil.copy(pathlib.Path(like) / "tokenizer.json", folder)
    (folder / "config.json").write_text(json.dumps(config))
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))
    return folder


# --- GGUF

TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "IQ4_NL": 20,
         "IQ4_XS": 23, "BF16": 30}
BLOCKS = {"F32": (1, 4), "F16": (1, 2), "BF16": (1, 2), "Q8_0": (32, 34), "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24),
          "IQ4_NL": (32, 18)}
BLOCKS |= {dtype: (256, k_block_bytes(dtype)) for dtype in K_BLOCKS}                                                # elements, bytes
# What divides the size of values to give that of scales, and what minimum goes with such a scale.
SPREAD = {"Q8_0": (70, 0), "Q4_0": (4, 0), "Q4_1": (4, -7.3), "Q5_0": (9, 0), "Q5_1": (9, -15.1), "Q2_K": (12, 1.7), "Q3_K": (36, 0), "Q4_K": (190, 7.7),
          "Q5_K": (380, 15.9), "Q6_K": (1400, 0), "IQ4_NL": (70, 0), "IQ4_XS": (1300, 0)}
PARTS = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
FIELDS = {"block_count": "num_hidden_layers", "embedding_length": "hidden_size", "feed_forward_length": "intermediate_size",
          "attention.head_count": "num_attention_heads", "attention.head_count_kv": "num_key_value_heads", "context_length": "max_position_embeddings",
          "attention.layer_norm_rms_epsilon": "rms_norm_eps", "rope.freq_base": "rope_theta", "attention.key_length": "head_dim"}


def hugging_face_name(name):
    *layer, part, kind = name.split(".")
    return f"model.layers.{layer[1]}.{PARTS[part]}.{kind}" if layer else f"{NAMES[part]}.{kind}"


class Reader:
    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, form):
        value, = struct.unpack_from("<" + form, self.raw, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def text(self):
        length = self.take("Q")
        self.at += length
        return self.raw[self.at - length:self.at].tobytes().decode()

    def value(self, kind):
        if kind == 6:
            return F(self.take("f"))
        if kind == 8:
            return self.text()
        if kind == 9:
            inner, count = self.take("I"), self.take("Q")
            return [self.value(inner) for _ in range(count)]
        return self.take({4: "I", 5: "i", 7: "?", 10: "Q"}[kind])


def halves(rows, heads):
    """6.4: from pairs side by side to pairs half a head apart."""
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def read_gguf(path):
    r = Reader(np.fromfile(path, BYTES))
    magic, version, count, pairs = r.take("4s"), r.take("I"), r.take("Q"), r.take("Q")
    assert (magic, version) == (b"GGUF", 3)
    fields = {r.text(): r.value(r.take("I")) for _ in range(pairs)}
    infos = [(r.text(), [r.take("Q") for _ in range(r.take("I"))][::-1], r.take("I"), r.take("Q")) for _ in range(count)]
    first = -(-r.at // 32) * 32
    # A float of the metadata counts as its shortest decimal (6.1).
    architecture = fields["general.architecture"]
    config = {ours: float(str(v)) if isinstance(v, F) else v for theirs, ours in FIELDS.items() if (v := fields.get(f"{architecture}.{theirs}")) is not None}
    tensors = {}
    for name, shape, kind, at in infos:
        dtype = next(d for d, number in TYPES.items() if number == kind)
        elements, size = BLOCKS[dtype]
        begin = first + at
        values = stored(dtype, r.raw[begin:begin + int(np.prod(shape)) // elements * size].copy()).reshape(shape)
        if name == "rope_freqs.weight":
            config["rope_divisors"] = values.astype(np.float64)
            continue
        if architecture == "llama" and (".attn_q." in name or ".attn_k." in name):
            values = halves(values, config["num_attention_heads" if ".attn_q." in name else "num_key_value_heads"])
        tensors[hugging_face_name(name)] = values
    config["tie_word_embeddings"] = "lm_head.weight" not in tensors
    config |= {"vocab_size": len(tensors["model.embed_tokens.weight"]), "tokens": len(fields["tokenizer.ggml.tokens"])}
    return config, tensors


def write_gguf(path, architecture, config, tensors):
    text = lambda s: struct.pack("<Q", len(s.encode())) + s.encode()
    listed = lambda kind, form, values: struct.pack("<IIQ", 9, kind, len(values)) + b"".join(form(v) for v in values)
    u32, f32, string = (lambda v: struct.pack("<II", 4, v)), (lambda v: struct.pack("<If", 6, v)), (lambda v: struct.pack("<I", 8) + text(v))
    tokens = ["a", "b", "end", "ab"] + [f"t{i}" for i in range(4, config["vocab_size"] - 20)]
    pairs = {"general.architecture": string(architecture)}
    pairs |= {f"{architecture}.{theirs}": (f32 if isinstance(config[ours], float) else u32)(config[ours]) for theirs, ours in FIELDS.items()}
    pairs |= {"tokenizer.ggml.model": string("gpt2"), "tokenizer.ggml.pre": string("qwen2"), "tokenizer.ggml.eos_token_id": u32(2),
              "tokenizer.ggml.tokens": listed(8, text, tokens),
              "tokenizer.ggml.token_type": listed(5, lambda v: struct.pack("<i", v), [1] * len(tokens)),
              "tokenizer.ggml.merges": listed(8, text, ["a b"])}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(text(k) + v for k, v in pairs.items())
    data = b""
    for name, (dtype, shape, raw) in tensors.items():
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape[::-1], TYPES[dtype], len(data))
        data += raw + bytes(-len(raw) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


# --- random models

def shapes(config, biased):
    d, hidden, inner = config["head_dim"], config["hidden_size"], config["intermediate_size"]
    q, kv = config["num_attention_heads"] * d, config["num_key_value_heads"] * d
    yield "model.embed_tokens.weight", [config["vocab_size"], hidden]
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", [config["vocab_size"], hidden]
    yield "model.norm.weight", [hidden]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", [hidden]
        yield at + "post_attention_layernorm.weight", [hidden]
        if config.get("architectures") == ["Qwen3ForCausalLM"]:
            yield at + "self_attn.q_norm.weight", [d]
            yield at + "self_attn.k_norm.weight", [d]
        for name, rows, columns in (("self_attn.q_proj", q, hidden), ("self_attn.k_proj", kv, hidden), ("self_attn.v_proj", kv, hidden),
                                    ("self_attn.o_proj", hidden, q), ("mlp.gate_proj", inner, hidden), ("mlp.up_proj", inner, hidden),
                                    ("mlp.down_proj", hidden, inner)):
            yield f"{at}{name}.weight", [rows, columns]
            if name in biased:
                yield f"{at}{name}.bias", [rows]


def draw(rng, config, biased):
    tensors = {}
    for name, shape in shapes(config, biased):
        x = rng.standard_normal(shape).astype(F)
        tensors[name] = F(1) + x * F(0.1) if "norm" in name else x if "embed" in name else x / F(np.sqrt(shape[-1]) if len(shape) == 2 else 4)
    return tensors


def encode(dtype, x, rng):
    """Bytes of a tensor; the integers of a format in blocks are drawn, as x only gives the shape and the size of values."""
    if dtype == "F32":
        return x.astype("<f4").tobytes()
    if dtype == "F16":
        return x.astype("<f2").tobytes()
    if dtype == "BF16":
        return (x.view(np.uint32) >> 16).astype("<u2").tobytes()
    elements, size = BLOCKS[dtype]
    blocks = rng.integers(0, 256, (x.size // elements, size), BYTES)
    divisor, minimum = SPREAD[dtype]
    scales = x.std() / divisor * rng.uniform(0.5, 1.5, len(blocks))
    at = next(at for name, at, _ in k_parts(dtype) if name == "d") if dtype in K_BLOCKS else 0
    blocks[:, at:at + 2] = scales.astype("<f2")[:, None].view(BYTES)
    if minimum:
        blocks[:, at + 2:at + 4] = (scales * minimum).astype("<f2")[:, None].view(BYTES)
    return blocks.tobytes()


ALL = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
COMMON = {"hidden_act": "silu", "max_position_embeddings": 320, "eos_token_id": 2}
ZERO, TINY, HUGE, SMALL, DENORMAL, EDGE, NAN, LATE = range(10, 18)          # tokens of write_extreme's model; LATE is bad in the last layer alone


def write_extreme(folder, like):
    """Llama 3's scaling, every bias, its own output matrix, sizes that nothing divides, and numbers at the edge of every rule."""
    rng = np.random.default_rng(2)
    config = COMMON | {"architectures": ["LlamaForCausalLM"], "hidden_size": 72, "intermediate_size": 100, "num_hidden_layers": 3,
                       "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 20, "vocab_size": 1601, "rms_norm_eps": 1e-6,
                       "rope_theta": 500000.0, "tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True,
                       "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                        "original_max_position_embeddings": 64}}
    t = draw(rng, config, ALL)
    embedding = t["model.embed_tokens.weight"]
    embedding[ZERO] = 0
    for token, exponent in ((TINY, -100), (HUGE, 100), (SMALL, -60), (DENORMAL, -135), (EDGE, -98)):
        embedding[token] *= F(2.0**exponent)
    embedding[EDGE] = np.clip(embedding[EDGE], F(-2.0**-97), F(2.0**-97))
    embedding[EDGE, 7] = F(2.0**-96)                                                        # 3.3: the least that is not zero
    embedding[NAN, 3] = np.nan
    embedding[LATE] = 0
    embedding[LATE, 1] = 1e6
    first, last = "model.layers.0.", "model.layers.2."
    t[first + "self_attn.q_proj.weight"][:20] *= F(2.0**12)                                 # scores of head 0 beyond 7.3's limit
    t[first + "self_attn.k_proj.weight"] *= F(2.0**12)
    t[first + "mlp.gate_proj.weight"][:9] *= F(2.0**10)                                     # 9.1's clamp
    output = t[first + "self_attn.o_proj.weight"]
    output[3], output[4], output[5] = 0, output[4] * F(2.0**-110), output[5] * F(2.0**-90)
    t["lm_head.weight"][900] = t["lm_head.weight"][30]                                      # equal logits: 10.2
    t["lm_head.weight"][40] = np.clip(t["lm_head.weight"][40], F(-1), F(1)) * F(2.0**-97)
    t["lm_head.weight"][40, 5] = F(2.0**-96)                                                # 3.3
    t[last + "post_attention_layernorm.weight"][1] = F(2.0**125)                            # infinite for LATE alone
    t[last + "mlp.gate_proj.weight"][:, 1] = t[last + "mlp.up_proj.weight"][:, 1] = 0
    kinds = {name: "BF16" if "v_proj" in name or "down" in name else "F32" for name in t}
    return write_folder(folder, like, config, {name: (kinds[name], list(x.shape), encode(kinds[name], x, rng)) for name, x in t.items()})


def write_qwen2(folder, like):
    """Qwen2: biases of q, k and v, grouped queries, F16, one matrix for both ends, no head_dim."""
    return write_qwen(folder, like, 3, {"architectures": ["Qwen2ForCausalLM"], "hidden_size": 60}, {"head_dim": 10}, ALL[:3])


def write_qwen3(folder, like):
    """Qwen3: norms of heads, which are wider than the model divided by their number; one of them overflows, one is nothing but its epsilon."""
    config = {"architectures": ["Qwen3ForCausalLM"], "hidden_size": 48, "head_dim": 20}

    def alter(t):
        t["model.layers.1.self_attn.q_norm.weight"][3] = F(2.0**127)
        t["model.layers.0.self_attn.k_proj.weight"][20:40] *= F(2.0**-70)
    return write_qwen(folder, like, 6, config, {}, (), alter)


def write_qwen(folder, like, seed, config, not_said, biased, alter=lambda t: None):
    rng = np.random.default_rng(seed)
    config = COMMON | {"intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 3, "vocab_size": 1543,
                       "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "tie_word_embeddings": True} | config
    t = draw(rng, config | not_said, biased)
    alter(t)
    kinds = {name: "BF16" if "q_norm" in name or "k_proj" in name else "F16" for name in t}   # F16 has neither 2^127 nor 2^-70
    return write_folder(folder, like, config, {name: (kinds[name], list(x.shape), encode(kinds[name], x, rng)) for name, x in t.items()})


def write_mixed_gguf(path):
    """GGUF: storage formats up to blocks of 32, interleaved rotary pairs with biases, stored divisors, a theta that float32 rounds."""
    return write_random_gguf(path, "llama", 4, {"hidden_size": 64, "intermediate_size": 96, "head_dim": 16},
                             {"token_embd": "Q8_0", "output": "Q4_1", "attn_q": "Q4_0", "attn_k": "IQ4_NL", "attn_v": "Q4_1", "attn_output": "F16",
                              "ffn_gate": "BF16", "ffn_up": "F32", "ffn_down": "Q4_0"})


def write_qwen3_gguf(path):
    """The other storage formats, norms of heads."""
    return write_random_gguf(path, "qwen3", 5, {"hidden_size": 256, "intermediate_size": 256, "head_dim": 64},
                             {"token_embd": "Q6_K", "output": "Q5_K", "attn_q": "Q4_K", "attn_k": "Q3_K", "attn_v": "Q2_K", "attn_output": "Q5_0",
                              "ffn_gate": "Q5_1", "ffn_up": "IQ4_XS", "ffn_down": "Q6_K"})


def write_random_gguf(path, architecture, seed, sizes, kinds):
    rng = np.random.default_rng(seed)
    config = sizes | {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 320,
                      "rms_norm_eps": 1e-6, "rope_theta": 10000.1, "vocab_size": 500, "tie_word_embeddings": False}
    llama = architecture == "llama"
    drawn = draw(rng, config if llama else config | {"architectures": ["Qwen3ForCausalLM"]}, ALL[:3] if llama else ())
    names = [f"{n}.weight" for n in NAMES] + [f"blk.{i}.{n}.{kind}" for i in range(2) for n in PARTS for kind in ("weight", "bias")]
    half = config["head_dim"] // 2
    tensors = {"rope_freqs.weight": ("F32", [half], np.linspace(1, 32, half).astype("<f4").tobytes())} if llama else {}
    for name in names:
        x = drawn.get(hugging_face_name(name))
        if x is not None:
            dtype = "F32" if x.ndim == 1 else kinds[name.split(".")[-2]]
            tensors[name] = (dtype, list(x.shape), encode(dtype, x, rng))
    return write_gguf(path, architecture, config, tensors)
