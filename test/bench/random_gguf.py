#!/usr/bin/env python3
"""Writes a GGUF file with random weights of a known shape, for speed comparisons only: random_gguf.py SHAPE TYPE OUT

SHAPE: qwen2-0.5b or llama-1b, as `ibid bench --shape` knows them. TYPE: q8_0 or bf16, of the matrices; norms and biases are F32.
Needs numpy and gguf from PyPI. The tokenizer is a byte vocabulary without merges, enough for programs that feed token ids.
"""
import sys

import gguf
import numpy as np

SHAPES = {
    "qwen2-0.5b": dict(arch="qwen2", hidden=896, layers=24, heads=14, kv_heads=2, head_dim=64, inner=4864, vocab=151936, theta=1e6, bias=True),
    "llama-1b": dict(arch="llama", hidden=2048, layers=16, heads=32, kv_heads=8, head_dim=64, inner=8192, vocab=128256, theta=5e5, bias=False),
}
TYPES = {"q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0), "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16)}


def random_bytes(rng, rows, cols, kind):
    """The stored bytes of a (rows, cols) matrix whose values have a deviation of about 0.02."""
    if kind == "bf16":
        values = rng.standard_normal((rows, cols), dtype=np.float32) * np.float32(0.02)
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).reshape(rows, cols * 2)
    blocks = rng.integers(-127, 128, (rows * cols // 32, 34), dtype=np.int8).view(np.uint8)
    blocks[:, :2] = np.frombuffer(np.float16(0.02 / 73).tobytes(), np.uint8)   # 73: the deviation of the integers
    return blocks.reshape(rows, cols // 32 * 34)


def main(shape_name, kind, out):
    s, (tensor_type, file_type) = SHAPES[shape_name], TYPES[kind]
    rng = np.random.default_rng(1)
    w = gguf.GGUFWriter(out, s["arch"])
    w.add_file_type(file_type)
    w.add_block_count(s["layers"])
    w.add_context_length(32768)
    w.add_embedding_length(s["hidden"])
    w.add_feed_forward_length(s["inner"])
    w.add_head_count(s["heads"])
    w.add_head_count_kv(s["kv_heads"])
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(s["theta"])
    w.add_rope_dimension_count(s["head_dim"])
    w.add_vocab_size(s["vocab"])
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list([f"t{i}" for i in range(s["vocab"])])
    w.add_token_types([gguf.TokenType.NORMAL] * s["vocab"])
    w.add_token_merges(["t 0"])
    w.add_eos_token_id(s["vocab"] - 1)
    w.add_add_bos_token(False)

    def matrix(name, rows, cols):
        w.add_tensor(name + ".weight", random_bytes(rng, rows, cols, kind), raw_dtype=tensor_type)

    def vector(name, size, value):
        w.add_tensor(name, np.full(size, value, np.float32))

    q, kv = s["heads"] * s["head_dim"], s["kv_heads"] * s["head_dim"]
    matrix("token_embd", s["vocab"], s["hidden"])
    vector("output_norm.weight", s["hidden"], 1)
    for layer in range(s["layers"]):
        p = f"blk.{layer}."
        vector(p + "attn_norm.weight", s["hidden"], 1)
        vector(p + "ffn_norm.weight", s["hidden"], 1)
        for part, rows in (("attn_q", q), ("attn_k", kv), ("attn_v", kv)):
            matrix(p + part, rows, s["hidden"])
            if s["bias"]:
                vector(p + part + ".bias", rows, 0.01)
        matrix(p + "attn_output", s["hidden"], q)
        matrix(p + "ffn_gate", s["inner"], s["hidden"])
        matrix(p + "ffn_up", s["inner"], s["hidden"])
        matrix(p + "ffn_down", s["hidden"], s["inner"])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in SHAPES or sys.argv[2] not in TYPES:
        sys.exit(__doc__)
    main(*sys.argv[1:])
