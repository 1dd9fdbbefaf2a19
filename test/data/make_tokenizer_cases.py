#!/usr/bin/env python3
"""Writes tokenizer_cases.json and, given the model, smollm2_tokens.json: what Hugging Face tokenizers (pip tokenizers 0.23.3) does.

    python make_tokenizer_cases.py [SmolLM2-135M-Instruct.Q4_1.gguf]      (the model needs pip gguf too)

tokenizer_cases.json holds small tokenizers trained here, in the shapes that released models have and in some that are only
legal, each with texts, their ids, and ids with their text. Everything is seeded: the same library writes the same file.
"""
import json
import random
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CORPUS = ["The step id is the digest of everything that determines the answer, and the result digest of what came out.",
          "it's what they'd've said: WE'LL count 1234567 reads, don't we?", "naïve café déjà vu, Ünïcödé; 日本語 テスト; русский текст",
          "   indented\n\n\tcode = f(x) == 42;\r\n", "reads reads reads reading ready reader; counts counted counting count"] * 4
FRAGMENTS = ["'s", "'T", "'RE", "'ll", "'ſ", "it's", "don't", " ", "  ", "   ", "\n", "\r\n", "\n\n", " \n ", "\t", "\u00a0", "\u3000", "123", "45678",
             " 12", "½", "²", "Ⅷ", "٣٤", "é", "e\u0301", "\u212b", "각", "\u1100\u1161\u11a8", "日本語", "русский", "हिन्दी", "😀", "👩\u200d👧", "\ufeff", "\ufffd",
             "\x00", "\x7f", "▁", "Ġ", "<0x0A>", "!!!", "...", "==", "the", "count", "reading", " digest", "_", "()", "a\u0315\u0300\u05aeb",
             "<s>", "</s>", "<unk>", "<|im_end|>", "<tool>", "<tool_call>", " <pad> ", "word", "sword", "words", "Hello world"]


def random_text(rng):
    def code_point():
        while True:
            c = rng.randrange(rng.choice([0x80, 0x800, 0x10000, 0x110000]))
            if not 0xD800 <= c <= 0xDFFF:
                return chr(c)
    return "".join(code_point() if rng.random() < 0.1 else rng.choice(FRAGMENTS) for _ in range(rng.randrange(1, 14)))


def trained(tokenizer, size, special, alphabet=()):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=list(alphabet), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def with_model(tokenizer, **options):
    """The same tokenizer with other options of its model."""
    data = json.loads(tokenizer.to_str())
    data["model"].update(options)
    return Tokenizer.from_str(json.dumps(data))


def with_bytes(tokenizer, which):
    """Adds the byte tokens <0xXX> to the vocabulary, and byte_fallback."""
    data = json.loads(tokenizer.to_str())
    vocab = data["model"]["vocab"]
    for b in which:
        vocab[f"<0x{b:02X}>"] = len(vocab)
    data["model"]["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(data))


def byte_level(pre, special=("<s>", "</s>", "<|im_end|>"), size=420, **options):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    return with_model(trained(tokenizer, size, list(special), sorted(pre_tokenizers.ByteLevel.alphabet())), **options)


def sentencepiece(**options):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return with_model(trained(tokenizer, 200, ["<unk>", "<s>", "</s>"]), unk_token="<unk>", **options)


def metaspace(pre, decoder, **options):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre
    if decoder:
        tokenizer.decoder = decoder
    return with_model(trained(tokenizer, 200, ["<unk>", "<s>", "</s>"]), unk_token="<unk>", **options)


def bos_template(tokenizer, eos=False):
    single = "<s> $A </s>" if eos else "<s> $A"
    ids = [(t, tokenizer.token_to_id(t)) for t in ("<s>", "</s>")]
    return processors.TemplateProcessing(single=single, pair="<s> $A $B", special_tokens=ids)


def make_tokenizers():
    bl = pre_tokenizers.ByteLevel
    split = lambda pattern, behavior="isolated", invert=False: pre_tokenizers.Split(Regex(pattern), behavior, invert=invert)
    yield "gpt-2 with a prefix space", byte_level(bl(add_prefix_space=True))
    yield "gpt-2 by Split", byte_level(pre_tokenizers.Sequence([split(GPT2), bl(add_prefix_space=False, use_regex=False)]))
    yield "smollm", byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), bl(add_prefix_space=False)]), unk_token="<|endoftext|>")

    t = byte_level(pre_tokenizers.Sequence([split(LLAMA3), bl(add_prefix_space=False, use_regex=False)]), ignore_merges=True)
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), bos_template(t)])
    yield "llama 3", t

    t = byte_level(pre_tokenizers.Sequence([split(QWEN2, "removed", True), bl(add_prefix_space=False, use_regex=False)]))
    t.normalizer = normalizers.NFC()
    t.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("<tool_call>", normalized=False), AddedToken("word", single_word=True, normalized=False),
                  AddedToken("<pad>", lstrip=True, rstrip=True, special=True, normalized=False), AddedToken("e\u0301t", normalized=True)])
    yield "qwen 2 with added tokens of every kind", t

    t = with_bytes(sentencepiece(fuse_unk=True), range(256))
    t.post_processor = bos_template(t, eos=True)
    yield "llama 2", t
    yield "bytes for some characters only", with_bytes(sentencepiece(fuse_unk=True), [0xC3, 0xA9, 0xE6, 0x97, 0xA5, 0xE8, 0xAA])
    yield "unknown characters one by one", sentencepiece(fuse_unk=False)

    for scheme in ("always", "first", "never"):
        for cut in (True, False):
            yield f"metaspace {scheme}, split {cut}", metaspace(pre_tokenizers.Metaspace("▁", scheme, cut), decoders.Metaspace("▁", scheme, cut), fuse_unk=True)
    t = metaspace(pre_tokenizers.Metaspace("▁", "first", False), decoders.Sequence([decoders.Replace("▁", " "), decoders.Strip("t", 1, 1), decoders.Fuse()]))
    t.normalizer = normalizers.NFD()
    t.add_tokens([AddedToken("<tool>", normalized=True, rstrip=True), AddedToken("word", normalized=True, lstrip=True)])
    yield "nfd and normalized added tokens", t
    yield "digit runs, no decoder", metaspace(pre_tokenizers.Digits(False), None)


def encodings(tokenizer, texts):
    out = []
    for text in texts:
        entry = {"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids}
        around = tokenizer.encode(text, add_special_tokens=True).ids
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        if around != entry["ids"]:
            entry["around"] = around
        if plain != entry["ids"]:
            entry["plain"] = plain
        out.append(entry)
    return out


def decodings(tokenizer, rng, count):
    size = tokenizer.get_vocab_size()
    out = []
    for _ in range(count):
        ids = [rng.randrange(size + 2) for _ in range(rng.randrange(1, 12))]
        out.append({"ids": ids, "all": tokenizer.decode(ids, skip_special_tokens=False), "skip": tokenizer.decode(ids, skip_special_tokens=True)})
    return out


def main():
    rng = random.Random(20251122)
    cases = []
    for name, tokenizer in make_tokenizers():
        texts = ["", " ", "a", "Hello world"] + [random_text(rng) for _ in range(36)]
        # 0.23.3 decodes a token that is matched normalized to its normalized form, and does not skip it: we do neither.
        normalized = any(t.normalized for t in tokenizer.get_added_tokens_decoder().values()) and tokenizer.normalizer is not None
        cases.append({"name": name, "tokenizer": json.loads(tokenizer.to_str()), "encode": encodings(tokenizer, texts),
                      "decode": [] if normalized else decodings(tokenizer, rng, 24)})
    (HERE / "tokenizer_cases.json").write_text(json.dumps(cases, ensure_ascii=False, separators=(",", ":")) + "\n")
    if len(sys.argv) > 1:
        tokenizer = smollm2(sys.argv[1])
        texts = CORPUS[:5] + [random_text(rng) for _ in range(60)]
        (HERE / "smollm2_tokens.json").write_text(json.dumps(encodings(tokenizer, texts), ensure_ascii=False, separators=(",", ":")) + "\n")


def smollm2(path):
    """The tokenizer.json that SmolLM2 has, rebuilt from the vocabulary and the merges in the GGUF."""
    from gguf import GGUFReader
    fields = GGUFReader(path).fields
    tokens, types, merges = (fields[f"tokenizer.ggml.{k}"].contents() for k in ("tokens", "token_type", "merges"))
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[tuple(m.split(" ")) for m in merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, kind in zip(tokens, types) if kind == 3])
    return tokenizer


if __name__ == "__main__":
    main()
