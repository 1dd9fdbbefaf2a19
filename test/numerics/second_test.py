"""Holds ibid and the second implementation together, bit by bit: second_test.py IBID LOGITS, which is test/tools/logits.cc built.

1. Every row of logits, and of every choice: the token, the second, the log-probability, the margin, the list of the likeliest.
2. What the engine chose is fed to the second implementation: if at each position its choice, given the tokens so far, is the engine's,
   then by induction it would have written the same.
3. Answers in a bundle of `ibid run` are found again from the prompt's ids, the seed and the record's id.
4. With one rule altered, any of MUTANTS, the same comparison must find a difference.
"""
import hashlib
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
from unittest import mock

import numpy as np

import models
import second

SHIPPED = pathlib.Path(__file__).parents[2] / "examples" / "models" / "biosample-tiny"
SETTINGS = [
    {}, {}, {"penalty": 1.3}, {"temperature": 1}, {"temperature": 0.7, "key": 1}, {"temperature": 1.5, "top_k": 40, "key": 2**63 + 12345, "sample": 3},
    {"temperature": 1, "top_p": 0.9, "key": 7}, {"temperature": 1.2, "min_p": 0.05, "key": 8}, {"temperature": 0.01, "key": 10},
    {"temperature": 1e-38}, {"temperature": 1, "top_p": 1e-11, "min_p": 1e-30},
    {"temperature": 2, "top_k": 100, "top_p": 0.95, "min_p": 0.01, "penalty": 1.1, "key": 9, "sample": 1}]
LENGTHS = [1, 127, 7, 128, 2, 130, 33, 5, 3, 4, 6, 260]           # over block borders, in the prompt and while answering


def bits(x):
    return int(np.asarray(x, second.F).view(np.uint32))


class Answers:
    """What the engine says to requests, asked once."""
    def __init__(self, logits, path, profile, requests):
        self.path, self.profile, self.requests = path, profile, requests
        self.config, self.tensors = models.read(path)
        with tempfile.NamedTemporaryFile() as file:
            lines = subprocess.run([logits, str(path), profile, file.name], input="".join(json.dumps(r) + "\n" for r in requests),
                                   stdout=subprocess.PIPE, check=True, text=True).stdout
            rows = np.fromfile(file.name, np.uint32).reshape(-1, self.config["vocab_size"])
        self.answers = [json.loads(line) for line in lines.splitlines()]
        ends = np.cumsum([a["rows"] for a in self.answers])
        assert len(self.answers) == len(requests) and ends[-1] == len(rows), "the tool's output does not fit together"
        self.rows = np.split(rows, ends[:-1])

    def differences(self, counts):
        model = second.Model(self.config, self.tensors, self.profile)
        for i, (request, answer, theirs) in enumerate(zip(self.requests, self.answers, self.rows)):
            for difference in compare(model, dict(request), answer, theirs, counts):
                yield f"{self.path} {self.profile} request {i} {({k: v for k, v in request.items() if k != 'prompt'})}: {difference}"


def compare(model, request, answer, theirs, counts):
    prompt, most, tokens = request.pop("prompt"), request.pop("tokens"), answer["tokens"]
    ids = [token[0] for token in tokens]
    ours, spoils_record, spoils_choice = model.logits(prompt + ids[:-1])
    n = len(prompt)
    if spoils_record.any() or spoils_choice[n - 1:].any():                        # NUMERICS 12
        counts["numeric errors"] += 1
        if answer["status"] != "numeric_error":
            yield f"is {answer['status']}, not numeric_error"
        return
    ended = len(tokens) < most or (tokens and ids[-1] == model.config.get("eos_token_id", 2))
    if answer["status"] != ("ok" if ended else "truncated") or not tokens or (len(tokens) < most and ids[-1] != 2):
        yield f"is {answer['status']} after {len(tokens)} tokens"
        return
    # Theirs: the prompt's rows, where they are sound, and those that tokens were chosen from, whose first is the prompt's last.
    expected = np.concatenate([ours[:0 if spoils_choice.any() else n], ours[n - 1:]]).view(np.uint32)
    if expected.shape != theirs.shape:
        yield f"{len(theirs)} rows instead of {len(expected)}"
        return
    counts["rows"] += len(theirs)
    for row, column in np.argwhere(expected != theirs)[:1]:
        yield f"row {row} logit {column}: {expected.view(second.F)[row, column]!r} and {theirs.view(second.F)[row, column]!r}"
    for k, token in enumerate(tokens):
        row, occurred = ours[n - 1 + k, :model.V], prompt + ids[:k]
        chosen, runner_up, margin = second.choose(row, occurred, position=len(occurred), **request)
        logprob = second.logprobs(row)
        top = [[int(t), bits(logprob[t])] for t in second.order(row, np.arange(len(row)))[:3]]
        if token != [chosen, bits(logprob[chosen]), bits(margin), runner_up, top]:
            yield f"token {k}: {[chosen, logprob[chosen], margin, runner_up, top]} and {token}"
        counts["choices"] += 1


def prompts(vocab, lengths):
    draw = np.random.default_rng(1).integers
    return [draw(20, vocab, n).tolist() for n in lengths]


def requests(vocab, lengths=LENGTHS, tokens=12):
    return [{"prompt": prompt, "tokens": tokens} | setting for prompt, setting in zip(prompts(vocab, lengths), SETTINGS)]


def extreme_requests(vocab):
    """Tokens that take every op to the edges of its rules, and what becomes of numbers beyond."""
    m = models
    body, = prompts(vocab, [40])
    odd = [[m.ZERO], [m.HUGE], body + [m.HUGE], [m.DENORMAL, m.TINY, m.SMALL, m.EDGE], body[:9] + [m.EDGE, m.SMALL] + body[9:] + [m.TINY],
           body + [m.LATE] + body, body + [m.LATE], body[:3] + [m.NAN] + body[3:], [m.NAN]]
    return requests(vocab) + [{"prompt": p, "tokens": 4} | setting for p in odd for setting in ({}, {"temperature": 1, "key": 3, "top_p": 0.9})]


STEP = """ibid: 1
model: {digest: %s}
input: {format: tsv, id: sample}
prompt: {messages: [{user: "{{ annotation }}"}]}
decoding: {method: sample, temperature: 1.5, %s, repetition_penalty: 1.05, seed: %d, samples: 2, max_tokens: 24, context: 512}
output: {format: tsv}
on_error: record
max_errors: 2
"""
SETTING = {"temperature": "1.5", "penalty": "1.05"}
CUTS = [{"top_k": 60}, {"top_p": "0.99"}, {"min_p": "0.05"}]              # one at a time: each would hide that another is lost


def bundle_differences(ibid, scratch, cut, counts):
    """Of sampled answers, which a bundle gives with floats as the decimals that read back to them."""
    seed = 12345678901                                           # more than 32 bits
    digest = subprocess.run([ibid, "pin", SHIPPED], stdout=subprocess.PIPE, check=True, text=True).stdout.split("digest:")[1].split()[0]
    (scratch / "step.yaml").write_text(STEP % (digest, ", ".join(f"{k}: {v}" for k, v in cut.items()), seed))
    (scratch / "in.tsv").write_text("sample\tannotation\nA-1\tliver bx, 54yo F\nprobe \u03b2\tPBMC | SLE | 29F\n")
    subprocess.run([ibid, "run", scratch / "step.yaml", scratch / "in.tsv", "--model", SHIPPED, "-o", scratch / "out.tsv", "--bundle", scratch / "b.tar",
                    "--quiet"], check=True)
    with tarfile.open(scratch / "b.tar") as tar:
        lines = [line for m in tar if m.name.startswith("blobs/") for line in tar.extractfile(m).read().split(b"\n") if line.startswith(b'{"id":')]
    prompt_ids, outcomes = {}, {}
    for leaf in map(json.loads, lines):
        if "prompt_ids" in leaf:
            prompt_ids[leaf["id"]] = leaf["prompt_ids"]
        else:
            outcomes[leaf["id"]] = leaf["answers"]
    model = second.Model(*models.read(SHIPPED), "w16a16")
    for record, prompt in prompt_ids.items():
        key = int.from_bytes(hashlib.sha256(f"ibid noise v1\n{seed}\n{record}".encode()).digest()[:8], "little")
        for sample, answer in enumerate(outcomes[record]):
            ids = answer["ids"]
            rows, _, _ = model.logits(prompt + ids[:-1])
            for k, theirs in enumerate(zip(ids, answer["logprobs"], answer["margins"], strict=True)):
                row, occurred = rows[len(prompt) - 1 + k, :model.V], prompt + ids[:k]
                chosen, _, margin = second.choose(row, occurred, position=len(occurred), key=key, sample=sample, **SETTING, **cut)
                ours = (chosen, second.logprobs(row)[chosen], margin)
                if ours != (theirs[0], second.F(theirs[1]), second.F(theirs[2])):
                    yield f"bundle, {cut}, record {record}, answer {sample}, token {k}: {ours} and {theirs}"
                counts["choices in a bundle"] += 1


def half_away(x):
    return np.copysign(np.floor(np.abs(x) + x.dtype.type(0.5)), x)


def other_product(activations, weights, bias=None, residual=None):
    (qa, sa), (qw, sw) = activations, weights
    y = (qa @ qw.T).astype(second.F) * (sa[:, None] * sw)
    for more in (bias, residual):
        y = y if more is None else y + more
    return y


noise = second.noise
MUTANTS = {
    "7.2 blocks of 64 positions": {"BLOCK": 64},
    "1.4 rounding half away from zero": {"rne": half_away},
    "2.1 integers up to 32767": {"Q16": 32767},
    "4.2 the two scales multiplied first": {"product": other_product},
    "11.7 noise for the position before": {"noise": lambda key, ids, position, sample: noise(key, ids, position - 1, sample)},
}


def main(ibid, logits):
    counts = {"rows": 0, "choices": 0, "numeric errors": 0, "choices in a bundle": 0}
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        extreme, qwen2 = models.write_extreme(scratch / "extreme", SHIPPED), models.write_qwen2(scratch / "qwen2", SHIPPED)
        qwen3 = models.write_qwen3(scratch / "qwen3", SHIPPED)
        asked = [(SHIPPED, requests(1536)), (extreme, extreme_requests(1601)), (qwen2, requests(1543)), (qwen3, requests(1543)),
                 (models.write_mixed_gguf(scratch / "mixed.gguf"), requests(500)), (models.write_qwen3_gguf(scratch / "qwen3.gguf"), requests(500))]
        for path, these in asked:
            for profile in second.PROFILES:
                answers = Answers(logits, path, profile, these)
                found += answers.differences(counts)
        for cut in CUTS:
            found += bundle_differences(ibid, scratch, cut, counts)
        control = Answers(logits, SHIPPED, "w16a16", requests(1536, LENGTHS[:6], 2))
    print(", ".join(f"{n} {what}" for what, n in counts.items()), "compared;", len(found), "differ")
    for difference in found[:20]:
        print(difference[:400])
    missed = []
    for rule, altered in MUTANTS.items():
        with mock.patch.multiple(second, **altered):
            difference = next(control.differences(dict(counts)), None)
        print(f"altered: {rule}: {difference[:200] if difference else 'NOT NOTICED'}")
        missed += [rule] if difference is None else []
    sys.exit(1 if found or missed or not all(counts.values()) else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
