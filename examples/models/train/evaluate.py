"""Measures biosample-tiny: how many records come out wholly right, and how often each field does.

Owns: what counts as right. An answer is right when it is JSON equal to the expected record, and a field when it has the expected value;
an answer that is not JSON has every field wrong. Answers come from transformers (greedy), or from the output of `ibid`.

Use: python evaluate.py --model ../biosample-tiny heldout.jsonl handwritten.jsonl
     python evaluate.py --answers out.jsonl heldout.jsonl        # lines with the fields id and response
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from vocab import FIELDS

Row = dict[str, object]


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def generate(model_folder: Path, texts: list[str], batch: int = 64) -> list[str]:
    """The model's greedy answers, float32, the longest prompts together."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.padding_side = "left"
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    prompts = [tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True) for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(prompts[i]))
    answers = [""] * len(texts)
    for start in range(0, len(order), batch):
        part = order[start:start + batch]
        inputs = tokenizer([prompts[i] for i in part], return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=120, do_sample=False)
        for i, ids in zip(part, output[:, inputs["input_ids"].shape[1]:]):
            answers[i] = tokenizer.decode(ids, skip_special_tokens=True)
    return answers


def parse(answer: object) -> Row | None:
    if isinstance(answer, dict):
        return answer
    try:
        value = json.loads(str(answer))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def same(a: object, b: object) -> bool:
    """Equality that tells 1 from true, but not 2 from 2.0."""
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def report(name: str, rows: list[Row], answers: list[object], show: bool) -> None:
    whole, fields = 0, dict.fromkeys(FIELDS, 0)
    for row, answer in zip(rows, answers):
        expected: Row = row["expected"]  # type: ignore[assignment]
        got = parse(answer)
        right = {field: got is not None and field in got and same(got[field], expected[field]) for field in FIELDS}
        perfect = all(right.values()) and got is not None and set(got) == set(FIELDS)
        whole += perfect
        for field, ok in right.items():
            fields[field] += ok
        if show and not perfect:
            wrong = "; ".join(f"{field}: {None if got is None else got.get(field)!r}, expected {expected[field]!r}" for field in FIELDS if not right[field])
            print(f"{row['id']}\t{row['text']!r}\t{wrong}")
    n = len(rows)
    print(f"{name}: {whole}/{n} records wholly right ({100 * whole / n:.1f} %); " + ", ".join(f"{field} {100 * count / n:.1f} %" for field, count in fields.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="model folder, for transformers")
    parser.add_argument("--answers", type=Path, help="answers of ibid instead: JSONL with id and response")
    parser.add_argument("--errors", action="store_true", help="print every record that is not wholly right")
    parser.add_argument("sets", nargs="+", type=Path)
    args = parser.parse_args()
    if (args.model is None) == (args.answers is None):
        parser.error("give one of --model and --answers")
    for path in args.sets:
        rows = read(path)
        if args.model is not None:
            answers: list[object] = list(generate(args.model, [str(row["text"]) for row in rows]))
        else:
            by_id = {str(row["id"]): row.get("response") for row in read(args.answers)}
            missing = [row["id"] for row in rows if str(row["id"]) not in by_id]
            if missing:
                parser.error(f"{args.answers}: no answer for {len(missing)} records of {path}, the first is {missing[0]}")
            answers = [by_id[str(row["id"])] for row in rows]
        report(path.name, rows, answers, args.errors)


if __name__ == "__main__":
    main()
