"""A second implementation of ibid's arithmetic, written from kernels/NUMERICS.md alone; the comments give its sections.

It shares no line with ibid and is slow on purpose: it reads like the specification. numpy is used only for + - * / sqrt on float32 and
float64, comparisons, integers and views of bits, which are the same everywhere; its exp, log, cos and its sums of floats are not used.
"""
import math

import numpy as np

F, D, I, U = np.float32, np.float64, np.int64, np.uint32
BLOCK = 128                                                                        # 7.2
Q16, Q8 = 32639, 127                                                               # 2.1
PROFILES = {"w16a16": Q16, "w8a16": Q8}                                            # 14.1


def f32(*words):
    return [F(float.fromhex(word)) for word in words]


def rne(x):
    return np.rint(x)


def power2(n):
    """2^n as a float, -126 <= n <= 127."""
    return ((np.asarray(n).astype(I) + 127) << 23).astype(U).view(F)


def horner(x, coefficients):
    p = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        p = p * x + coefficient
    return p


# 9. Elementary functions

def exp32(x):                                                                      # 9.1
    log2e, high, low = f32("0x1.715476p+0", "0x1.62e4p-1", "0x1.7f7d1cp-20")
    x = np.clip(x, F(-87), F(87))
    n = rne(x * log2e)
    r = (x - n * high) - n * low
    p = horner(r, f32("0x1.6a2444p-10", "0x1.1239d6p-7", "0x1.5558f2p-5", "0x1.555492p-3", "0x1.fffffcp-2"))
    return (F(1) + (r + (r * r) * p)) * power2(n)


def exp2_weight(t):                                                                # 9.2
    small = t < F(-64)
    t = np.where(small, F(0), t)
    n = rne(t)
    f = t - n
    p = horner(f, f32("0x1.5bba0ep-10", "0x1.3cea88p-7", "0x1.c6b752p-5", "0x1.ebf9bcp-3", "0x1.62e42ap-1"))
    return np.where(small, F(0), (F(1) + p * f) * power2(n))


def split(x, root_half):
    """x = 2^n * m with m from root_half up to twice that; exact."""
    m, n = np.frexp(x)                                                             # m in [1/2, 1)
    low = m < root_half
    return np.where(low, m + m, m), (n - low).astype(x.dtype)


def log64(x):                                                                      # 9.3
    high, low = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
    m, n = split(x, float.fromhex("0x1.6a09e667f3bcdp-1"))
    f = m - 1
    s = f / (2 + f)
    z = s * s
    p = 0 * z
    for i in range(12, 0, -1):
        p = (p + 2 / (2 * i + 1)) * z
    return n * high + (f - (s * f - (s * p + n * low)))


def exp64(x):                                                                      # 9.3
    high, low = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
    n = rne(x * float.fromhex("0x1.71547652b82fep+0"))
    r = (x - n * high) - n * low
    return np.ldexp(horner(r, [1 / math.factorial(i) for i in range(14, -1, -1)]), n.astype(np.int32))


def pow64(x, y):                                                                   # 9.3
    return exp64(y * log64(D(x)))


def sincos64(x):                                                                   # 9.3
    part1, part2, part3 = (float.fromhex(h) for h in ("0x1.921fb544p+0", "0x1.0b4611a6p-34", "0x1.3198a2e037073p-69"))
    n = rne(x * float.fromhex("0x1.45f306dc9c883p-1"))
    r = ((x - n * part1) - n * part2) - n * part3
    z = r * r
    S = C = 0 * z
    for i in range(9, 0, -1):
        S = (1 + S) * (-z / (2 * i * (2 * i + 1)))
        C = (1 + C) * (-z / (2 * i * (2 * i - 1)))
    sine, cosine = r + r * S, 1 + C
    quarter = n.astype(I) % 4
    return np.choose(quarter, [sine, cosine, -sine, -cosine]), np.choose(quarter, [cosine, -sine, -cosine, sine])


def log32(x):                                                                      # 9.4
    root_half, high, low = f32("0x1.6a09e6p-1", "0x1.62e4p-1", "0x1.7f7d1cp-20")
    m, n = split(x, root_half)
    f = m - F(1)
    s = f / (F(2) + f)
    z = s * s
    p = horner(z, f32("0x1.e2f668p-3", "0x1.2438d8p-2", "0x1.999a7ap-2", "0x1.555554p-1"))
    t = (s * z) * p
    return n * high + (f - (s * f - (t + n * low)))


def log1p32(x):                                                                    # 9.5
    u = F(1) + x
    return log32(u) + (x - (u - F(1))) / u


# 3. The row quantiser

def quantise(x, Q):
    """Rows are the last axis: integers of x's shape, and a scale for each row."""
    m = (x.view(U) & U(0x7fffffff)).max(axis=-1, keepdims=True)                    # 3.1
    amax = m.view(F)
    zero = (m >= 0x7f800000) | (amax < F(2.0**-96))                                # 3.2, 3.3
    amax = np.where(zero, F(1), amax)
    q = rne(np.where(zero, F(0), x) * (F(Q) / amax)).astype(I)                     # 3.4
    return q, np.where(zero, F(0), amax / F(Q))[..., 0]


# 4. Matrix products

def product(activations, weights, bias=None, residual=None):                       # 4.2
    (qa, sa), (qw, sw) = activations, weights
    y = ((qa @ qw.T).astype(F) * sa[:, None]) * sw
    if bias is not None:
        y = y + bias
    if residual is not None:
        y = y + residual
    return y


def stored(dtype, data):                                                           # 4.4
    """All elements in order, from bytes."""
    if dtype == "F32":
        return data.view("<f4").astype(F)
    if dtype == "F16":
        return data.view("<f2").astype(F)
    if dtype == "BF16":
        return (data.view("<u2").astype(U) << 16).view(F)
    if dtype in K_BLOCKS:
        return stored_in_runs(dtype, data)
    block = data.reshape(-1, {"Q8_0": 34, "Q4_0": 18, "Q4_1": 20, "Q5_0": 22, "Q5_1": 24, "IQ4_NL": 18}[dtype])
    d = block[:, :2].copy().view("<f2").astype(F)
    if dtype == "Q8_0":
        return (block[:, 2:].copy().view(np.int8).astype(F) * d).ravel()
    b = block[:, -16:].astype(np.int32)
    u = np.concatenate([b & 15, b >> 4], axis=1)
    if dtype == "Q4_0":
        return ((u - 8).astype(F) * d).ravel()
    if dtype == "IQ4_NL":
        return (IQ4[u].astype(F) * d).ravel()
    if dtype != "Q4_1":
        u = u + 16 * np.unpackbits(block[:, -20:-16], axis=1, bitorder="little")
    if dtype == "Q5_0":
        return ((u - 16).astype(F) * d).ravel()
    return (u.astype(F) * d + block[:, 2:4].copy().view("<f2").astype(F)).ravel()


IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113])
K_BLOCKS = {"Q2_K": "16s 64b d m", "Q3_K": "32h 64b 12s d", "Q4_K": "d m 12s 128b", "Q5_K": "d m 12s 32h 128b", "Q6_K": "128b 64h 16s d",
            "IQ4_XS": "d 2h 4s 128b"}


def k_parts(dtype):
    """The letters of a block: name, first byte, bytes."""
    at = 0
    for part in K_BLOCKS[dtype].split():
        size = int(part[:-1] or 2)
        yield part[-1], at, size
        at += size


def k_block_bytes(dtype):
    return sum(size for _, _, size in k_parts(dtype))


def stored_in_runs(dtype, data):                                                   # 4.6
    block = data.reshape(-1, k_block_bytes(dtype))
    part = {name: block[:, at:at + size] for name, at, size in k_parts(dtype)}
    d, m = (part[name].copy().view("<f2").astype(F) if name in part else None for name in "dm")
    s, b, h = (part[name].astype(np.int32) if name in part else None for name in "sbh")
    i = np.arange(256)
    R = 32 if dtype in ("Q4_K", "Q5_K") else 16
    j, r = i % R, i // R
    A, B, C = r // 8, r % 2, r % 8 // 2
    z, n = 0, None
    if dtype == "Q2_K":
        c, n, v = s[:, r] % 16, s[:, r] >> 4, (b[:, 32 * A + 16 * B + j] >> 2 * C) % 4
    elif dtype == "Q3_K":
        c = (s[:, r % 8] >> 4 * A) % 16 + 16 * ((s[:, 8 + r % 4] >> 2 * (r // 4)) % 4) - 32
        v = (b[:, 32 * A + 16 * B + j] >> 2 * C) % 4 + 4 * ((h[:, 16 * B + j] >> r // 2) % 2)
        z = 4
    elif dtype == "Q6_K":
        c = part["s"].copy().view(np.int8).astype(np.int32)[:, r]
        v = (b[:, 64 * A + 32 * (C % 2) + 16 * B + j] >> 4 * (C // 2)) % 16 + 16 * ((h[:, 32 * A + 16 * B + j] >> 2 * C) % 4)
        z = 32
    elif dtype == "IQ4_XS":
        half = r // 2
        c = (s[:, half // 2] >> 4 * (half % 2)) % 16 + 16 * ((h[:, A] >> 2 * (half % 4)) % 4) - 32
        v = IQ4[(b[:, 16 * half + j] >> 4 * B) % 16]
    else:
        first, k = r < 4, np.where(r < 4, r, r - 4)
        c = np.where(first, s[:, k] % 64, s[:, k + 8] % 16 + 16 * (s[:, k] >> 6))
        n = np.where(first, s[:, k + 4] % 64, (s[:, k + 8] >> 4) + 16 * (s[:, k + 4] >> 6))
        v = (b[:, 32 * (r // 2) + j] >> 4 * B) % 16
        if dtype == "Q5_K":
            v = v + 16 * ((h[:, j] >> r) % 2)
    x = (d * c.astype(F)) * (v - z).astype(F)
    return (x if n is None else x - m * n.astype(F)).ravel()


# 5. RMSNorm

def rmsnorm(x, weight, eps):
    q, s = quantise(x, Q16)
    Z = (q * q).sum(axis=-1)
    ms = (Z.astype(F) * (s * s)) / F(x.shape[-1])
    r = F(1) / np.sqrt(ms + eps)
    return (x * r[:, None]) * weight


# 6. Rotary positions

def rotary_table(config, positions):
    d = config["head_dim"]
    f = pow64(config["rope_theta"], -(np.arange(0, d, 2).astype(D) / D(d)))        # 6.1
    scaling, divisors = config.get("rope_scaling"), config.get("rope_divisors")
    if scaling:                                                                    # 6.2
        assert scaling["rope_type"] == "llama3"
        fields = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
        factor, low, high, original = (D(scaling[name]) for name in fields)
        w = float.fromhex("0x1.921fb54442d18p+2") / f
        smooth = (original / w - low) / (high - low)
        between = 1 / ((1 - smooth) / factor + smooth)
        divisors = np.where(w < original / high, D(1), np.where(w > original / low, factor, between))
    if divisors is not None:
        f = f / divisors
    sine, cosine = sincos64(np.arange(positions).astype(D)[:, None] * f)           # 6.3
    return cosine.astype(F)[:, None, :], sine.astype(F)[:, None, :]


def rotate(x, table):                                                              # 6.4
    c, s = table
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * c - b * s, b * c + a * s], axis=-1)


# 7. Attention

def attention(q, k, v):
    """Each is (integers (positions, heads, d), scales (positions, heads)); returns floats (positions, heads, d)."""
    (qq, sq), (kq, sk), (vq, sv) = q, k, v
    T, heads, d = qq.shape
    group = np.arange(heads) // (heads // kq.shape[1])                             # 7.1
    c = F(D(float.fromhex("0x1.71547652b82fep+0")) / np.sqrt(D(d)))
    a = sq * c
    M, l, o = np.zeros((heads, T), F), np.zeros((heads, T), F), np.zeros((heads, T, d), F)
    for first in range(0, T, BLOCK):                                               # 7.2
        j, P = np.arange(first, min(first + BLOCK, T)), np.arange(first, T)
        visible = j[None, None, :] <= P[None, :, None]
        keys, values = kq[j][:, group].transpose(1, 2, 0), vq[j][:, group].transpose(1, 0, 2)
        S = qq[P].transpose(1, 0, 2) @ keys                                        # 7.3: heads, queries, positions
        u = np.minimum(a[P].T[:, :, None] * sk[j][:, group].T[:, None, :], F(2.0**60))
        t = np.clip(S.astype(F) * u, F(-2.0**21), F(2.0**21))
        m = np.ceil(np.where(visible, t, F(-np.inf)).max(axis=-1))                 # 7.4
        p = np.where(visible, exp2_weight(np.where(visible, t - m[:, :, None], F(0))), F(0))
        lb = rne(p * F(2.0**23)).astype(I).sum(axis=-1).astype(F) * F(2.0**-23)
        wq, sw = quantise(p * sv[j][:, group].T[:, None, :], Q16)
        ob = (wq @ values).astype(F) * sw[:, :, None]                              # 7.5
        if first == 0:                                                             # 7.6
            M, l, o = m, lb, ob
            continue
        N = np.maximum(M[:, P], m)
        A, B = (power2(np.maximum(x - N, F(-126))) for x in (M[:, P], m))
        l[:, P] = l[:, P] * A + lb * B
        o[:, P] = o[:, P] * A[:, :, None] + ob * B[:, :, None]
        M[:, P] = N
    return (o * (F(1) / l)[:, :, None]).transpose(1, 0, 2)                         # 7.7


# 8. Activation

def silu(x):
    return x / (F(1) + exp32(-x))


# The model: Llama's layers out of these parts

class Model:
    """config: the fields of config.json, and tokens, how many ids the tokenizer has; tensors: floats by 4.4 under the names of Hugging Face."""
    def __init__(self, config, tensors, profile):
        self.config, self.tensors = config, tensors
        self.V = min(config["vocab_size"], config["tokens"])                                              # 10.1
        self.last = "model.embed_tokens" if config["tie_word_embeddings"] else "lm_head"
        self.matrices = {name: quantise(t, PROFILES[profile]) for name, t in tensors.items()
                         if name.endswith("_proj.weight") or name == self.last + ".weight"}               # 4.1

    def quantised(self, x):
        """3, and 12: remembers which positions had a bad row."""
        self.bad |= ~np.isfinite(x).reshape(len(x), -1).all(axis=1)
        return quantise(x, Q16)

    def linear(self, name, x, residual=None):
        return product(x, self.matrices[name + ".weight"], self.tensors.get(name + ".bias"), residual)

    def norm(self, name, x):
        self.quantised(x)
        return self.quantised(rmsnorm(x, self.tensors[name + ".weight"], F(D(self.config["rms_norm_eps"]))))

    def normed_heads(self, name, x):                                               # 6.6
        if name not in self.tensors:
            return x
        self.quantised(x)
        y = rmsnorm(x.reshape(-1, x.shape[-1]), self.tensors[name], F(D(self.config["rms_norm_eps"]))).reshape(x.shape)
        self.quantised(y)
        return y

    def logits(self, ids):
        """A row of floats for each position; which positions spoil their record, and which spoil what is chosen there (12)."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return self.forward(np.asarray(ids))

    def forward(self, ids):
        T, d = len(ids), self.config["head_dim"]
        table = rotary_table(self.config, T)
        x = self.tensors["model.embed_tokens.weight"][ids]                         # 4.5
        self.bad = np.zeros(T, bool)
        for layer in range(self.config["num_hidden_layers"]):
            at = f"model.layers.{layer}."
            h = self.norm(at + "input_layernorm", x)
            q, k, v = (self.linear(f"{at}self_attn.{n}_proj", h).reshape(T, -1, d) for n in "qkv")
            q, k = (self.normed_heads(f"{at}self_attn.{n}_norm.weight", heads) for n, heads in (("q", q), ("k", k)))
            q, k, v = (self.quantised(r) for r in (rotate(q, table), rotate(k, table), v))        # 6.5
            spoilt, self.bad = self.bad, self.bad.copy()                           # what comes behind counts if there is a next layer
            mixed = self.quantised(attention(q, k, v).reshape(T, -1))
            x = self.linear(at + "self_attn.o_proj", mixed, residual=x)
            h = self.norm(at + "post_attention_layernorm", x)
            gated = silu(self.linear(at + "mlp.gate_proj", h)) * self.linear(at + "mlp.up_proj", h)
            x = self.linear(at + "mlp.down_proj", self.quantised(gated), residual=x)
        rows = self.linear(self.last, self.norm("model.norm", x))                  # 10.1
        return rows, spoilt, self.bad | ~np.isfinite(rows[:, :self.V]).all(axis=1)


# 10. Order and log-probabilities

def order(scores, ids):
    """Positions of the scores, first by score first."""
    return np.lexsort((ids, -scores))


def masses(scores, largest):
    return rne(exp32(scores - largest) * F(2.0**40)).astype(I)


def logprobs(row):                                                                 # 10.3
    largest = row.max()
    total = masses(row, largest).sum().astype(F) * F(2.0**-40)
    return np.maximum((row - largest) - log32(total), F(-np.finfo(F).max))


# 11. Sampling

def philox(key, c0, c1, c2, c3):                                                   # 11.7
    low32 = np.uint64(0xffffffff)
    k0, k1 = key & 0xffffffff, key >> 32
    c = [np.asarray(x).astype(np.uint64) for x in (c0, c1, c2, c3)]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), b & low32, (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), a & low32]
        k0, k1 = (k0 + 0x9E3779B9) & 0xffffffff, (k1 + 0xBB67AE85) & 0xffffffff
    return c


def noise(key, ids, position, sample):                                             # 11.7
    c = philox(key, ids, position, sample, 0)
    u = c[0] + (c[1] << np.uint64(32))
    # u + 1/2 rounded once: exact in double when small; else its tail, never zero, sticks to the last of 53 bits
    exact, sticky = (u & np.uint64(2**48 - 1)).astype(D) + 0.5, (u >> np.uint64(11) | np.uint64(1)).astype(D) * 2.0**11
    v = np.where(u < 2**48, exact, sticky).astype(F) * F(2.0**-64)
    v = np.minimum(v, f32("0x1.fffffep-1")[0])
    return -log32(-log1p32(-v))


def choose(row, occurred=(), temperature=0, top_k=0, top_p=1, min_p=0, penalty=1, key=0, position=0, sample=0):
    """The token, the second by the same order (-1: there is none), and the margin."""
    score, ids = row.copy(), np.arange(len(row))
    temperature, top_p, min_p, penalty = F(temperature), F(top_p), F(min_p), F(penalty)            # 11.9
    seen = np.unique(np.asarray(occurred, I))
    seen = seen[seen < len(row)]
    with np.errstate(over="ignore"):
        score[seen] = np.where(score[seen] > 0, score[seen] / penalty, score[seen] * penalty)      # 11.2
    if temperature > 0:
        with np.errstate(over="ignore"):
            score = np.clip(score / temperature, F(-2.0**100), F(2.0**100))                        # 11.3
        largest = score.max()
        if top_k:                                                                                  # 11.4
            ids = order(score, ids)[:top_k]
        if top_p < 1:                                                                              # 11.5
            P = masses(score[ids], largest)
            limit = int(rne(D(top_p) * 2.0**32)) * int(P.sum()) >> 32
            by_mass = np.lexsort((ids, -P))
            ahead = np.cumsum(P[by_mass]) - P[by_mass]
            kept = ahead < limit
            kept[0] = True
            ids = ids[by_mass[kept]]
        if min_p >= F(2.0**-126):                                                                  # 11.6
            ids = ids[score[ids] >= largest + log32(min_p)]
        score[ids] = score[ids] + noise(key, ids, position, sample)                                # 11.7
    first = ids[order(score[ids], ids)[:2]]
    if len(first) == 1:                                                                            # 11.8
        return int(first[0]), -1, F(0)
    with np.errstate(over="ignore", invalid="ignore"):
        margin = score[first[0]] - score[first[1]]
    return int(first[0]), int(first[1]), F(0) if np.isnan(margin) else min(margin, np.finfo(F).max)
