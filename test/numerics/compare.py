"""Compares ibid with the second implementation, bit by bit: compare.py LOGITS MODEL..., LOGITS being test/tools/logits.cc built."""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import second

U = np.uint32


def bits(x):
    return int(np.asarray(x, np.float32).view(U))


def requests(vocab):
    """Prompts of ragged lengths over block borders; every rule of choosing alone and all together."""
    draw = np.random.default_rng(1).integers
    prompt = lambda n: draw(3, vocab, n).tolist()
    settings = [{}, {}, {"penalty": 1.3},
                {"temperature": 1}, {"temperature": 0.7, "key": 1}, {"temperature": 1.5, "top_k": 40, "key": 2**63 + 12345, "sample": 3},
                {"temperature": 1, "top_p": 0.9, "key": 7}, {"temperature": 1.2, "min_p": 0.05, "key": 8},
                {"temperature": 2, "top_k": 100, "top_p": 0.95, "min_p": 0.01, "penalty": 1.1, "key": 9, "sample": 1},
                {"temperature": 0.01, "key": 10}]
    lengths = [1, 127, 7, 128, 2, 130, 33, 5, 260, 3]
    return [{"prompt": prompt(n), "tokens": 12} | s for n, s in zip(lengths, settings)]


def compare(logits, folder, profile):
    model = second.Model(folder, profile)
    vocab = model.config["vocab_size"]
    asked = requests(vocab)
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "rows"
        lines = subprocess.run([logits, str(folder), profile, str(file)], input="".join(json.dumps(r) + "\n" for r in asked),
                               stdout=subprocess.PIPE, check=True, text=True).stdout
        theirs = np.fromfile(file, U).reshape(-1, vocab)
    rows = tokens = at = 0
    for i, (request, answer) in enumerate(zip(asked, map(json.loads, lines.splitlines(keepends=False)), strict=True)):
        prompt, ids = request.pop("prompt"), [token[0] for token in answer]
        length = request.pop("tokens")
        ours = model.logits(prompt + ids[:-1])
        for p, row in enumerate(ours):
            # The engine's rows: the prompt's, of which the last is there again as the first that a token was chosen from.
            for k in {p if p < len(prompt) else None, p + 1 if p >= len(prompt) - 1 else None} - {None}:
                bad = np.flatnonzero(row.view(U) != theirs[at + k])
                if len(bad):
                    yield f"request {i} position {p}: {len(bad)} of {vocab} logits differ; {bad[0]}: {row[bad[0]]!r} and {theirs[at + k][bad[0]].view(np.float32)!r}"
                    break
            rows += 1
        at += len(ours) + 1
        for n, token in enumerate(answer):
            row, occurred = ours[len(prompt) - 1 + n], prompt + ids[:n]
            chosen, runner_up, margin = second.choose(row, occurred, position=len(occurred), **request)
            logprob = second.logprobs(row)
            top = second.order(row, np.arange(vocab))[:3]
            mine = [chosen, bits(logprob[chosen]), bits(margin), runner_up, [[int(t), bits(logprob[t])] for t in top]]
            if mine != token:
                yield f"request {i} {request} token {n}: {mine} and {token}"
            tokens += 1
        # An answer is short only when it ended.
        if len(answer) != length and ids[-1] not in (0, 1, 2):
            yield f"request {i}: {len(answer)} tokens"
    if at != len(theirs):
        yield f"{len(theirs)} rows of logits instead of {at}"
    print(f"{folder} {profile}: {rows} rows, {tokens} choices")


if __name__ == "__main__":
    for folder in sys.argv[2:]:
        for profile in second.PROFILES:
            for difference in compare(sys.argv[1], folder, profile):
                print(difference)
