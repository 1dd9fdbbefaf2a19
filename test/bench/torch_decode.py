"""Decoding of a Llama shape by an eager PyTorch loop in bf16, to stand beside `ibid bench --device cuda` on the same GPU.

    python3 torch_decode.py [--shape llama-8b] [--sequences 64] [--prompt 16] [--answer 64] [--repeat 3]

Random weights, greedy, one K/V cache laid out before it starts; every step is launched operation by operation, as eager code is. Prints tokens
per second of decoding: what `answer` more tokens for each of `sequences` cost, the median of `repeat` runs.
"""
import argparse
import statistics
import time

import torch
import torch.nn.functional as F

SHAPES = {  # layers, hidden, intermediate, heads, kv heads, head dim, vocabulary
    "llama-1b": (16, 2048, 8192, 32, 8, 64, 128256),
    "llama-8b": (32, 4096, 14336, 32, 8, 128, 128256),
}


class Llama:
    def __init__(self, shape, sequences, context):
        layers, hidden, inner, self.heads, self.kv, self.dim, vocab = SHAPES[shape]

        def random(rows, columns):
            return torch.randn(rows, columns, device="cuda", dtype=torch.bfloat16) * 0.02

        self.embedding, self.head = random(vocab, hidden), random(vocab, hidden)
        self.norm = torch.ones(hidden, device="cuda", dtype=torch.bfloat16)
        self.layers = [
            {
                "qkv": random((self.heads + 2 * self.kv) * self.dim, hidden),
                "out": random(hidden, self.heads * self.dim),
                "gate_up": random(2 * inner, hidden),
                "down": random(hidden, inner),
                "keys": torch.zeros(sequences, self.kv, context, self.dim, device="cuda", dtype=torch.bfloat16),
                "values": torch.zeros(sequences, self.kv, context, self.dim, device="cuda", dtype=torch.bfloat16),
            }
            for _ in range(layers)
        ]
        angle = torch.outer(torch.arange(context), 500000.0 ** (-torch.arange(0, self.dim, 2) / self.dim))
        self.cos = torch.cat([angle.cos()] * 2, -1).to("cuda", torch.bfloat16)
        self.sin = torch.cat([angle.sin()] * 2, -1).to("cuda", torch.bfloat16)

    def rotate(self, x, at):
        left, right = x.chunk(2, -1)
        return x * self.cos[at] + torch.cat([-right, left], -1) * self.sin[at]

    # tokens: (sequences, n), at positions [start, start + n); returns the next token of each sequence.
    def step(self, tokens, start):
        b, n = tokens.shape
        x = F.embedding(tokens, self.embedding)
        at = slice(start, start + n)
        for w in self.layers:
            qkv = F.linear(F.rms_norm(x, (x.shape[-1],), self.norm), w["qkv"])
            qkv = qkv.view(b, n, self.heads + 2 * self.kv, self.dim).transpose(1, 2)
            q, k, v = qkv.split([self.heads, self.kv, self.kv], 1)
            w["keys"][:, :, at] = self.rotate(k, at)
            w["values"][:, :, at] = v
            seen = slice(0, start + n)
            y = F.scaled_dot_product_attention(self.rotate(q, at), w["keys"][:, :, seen], w["values"][:, :, seen], is_causal=n > 1, enable_gqa=True)
            x = x + F.linear(y.transpose(1, 2).reshape(b, n, -1), w["out"])
            gate, up = F.linear(F.rms_norm(x, (x.shape[-1],), self.norm), w["gate_up"]).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, w["down"])
        return F.linear(F.rms_norm(x[:, -1], (x.shape[-1],), self.norm), self.head).argmax(-1)


@torch.inference_mode()
def main():
    p = argparse.ArgumentParser()
    p.add_argument("--shape", default="llama-8b", choices=SHAPES)
    for name, default in (("sequences", 64), ("prompt", 16), ("answer", 64), ("repeat", 3)):
        p.add_argument("--" + name, type=int, default=default)
    a = p.parse_args()
    model = Llama(a.shape, a.sequences, a.prompt + a.answer)
    rates = []
    for _ in range(a.repeat + 1):  # the first warms up
        token = model.step(torch.randint(0, 1000, (a.sequences, a.prompt), device="cuda"), 0)
        torch.cuda.synchronize()
        begin = time.monotonic()
        for i in range(a.answer):
            token = model.step(token[:, None], a.prompt + i)
        torch.cuda.synchronize()
        rates.append(a.sequences * a.answer / (time.monotonic() - begin))
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {a.shape} bf16")
    print(f"decode_{a.sequences:<12}{statistics.median(rates[1:]):10.4g} tokens/s")


main()
