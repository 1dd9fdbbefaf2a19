#!/usr/bin/env python3
"""Writes runtime/unicode_tables.inc, or checks it against the reference tokenizer library.

Run by hand, its output is committed:
    python runtime/unicode_tables.py            needs pip unicodedata2==16.0.0, and perl for ages of characters
    python runtime/unicode_tables.py --check    needs pip tokenizers==0.23.3 (and takes about a minute)

Two versions of Unicode are in the table because two are in the reference (Hugging Face tokenizers 0.23.3):
 * character classes are Unicode 16.0.0, as its regular expressions see them (its Digits step asks the Rust library, which in this
   build knows 13 digits of Unicode 17 besides; we do not follow a compiler's version: --check lists them);
 * normalization is Unicode 9.0.0, the version of the crate that it normalizes with. Normalization is stable, so that table is
   Unicode 16.0.0 less the characters that are younger than 9.0.0.
"""
import subprocess
import sys
from pathlib import Path

CLASSES = "16.0.0"
NORMALIZATION = "9.0"
OUTPUT = Path(__file__).with_name("unicode_tables.inc")
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
WHITE_SPACE = {*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
# Alphabetic, yet none of L, M, Nl: the letters in circles and squares. With the joiners they complete \w of UTS 18.
OTHER_WORD = {*range(0x24B6, 0x24EA), *range(0x1F130, 0x1F14A), *range(0x1F150, 0x1F16A), *range(0x1F170, 0x1F18A), 0x200C, 0x200D}


def ranges(members):
    """Ascending (first, last) of a predicate's runs."""
    out = []
    for c in CODE_POINTS:
        if not members(c):
            continue
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def is_word(category, c):
    return category[0] in "LM" or category in ("Nd", "Nl", "Pc") or c in OTHER_WORD


def old_enough():
    """Characters that Unicode 9.0 had, from perl's own tables."""
    script = r'for (0..0xD7FF, 0xE000..0x10FFFF) { print "$_\n" if chr($_) =~ /\p{Present_In: %s}/ }' % NORMALIZATION
    return set(map(int, subprocess.run(["perl", "-e", script], capture_output=True, check=True).stdout.split()))


def rows(items, form, per_line):
    cells = [form(i) for i in items]
    return "\n".join("  " + " ".join(cells[i:i + per_line]) for i in range(0, len(cells), per_line))


def table(out, declaration, items, form, per_line):
    out.append(f"constexpr {declaration}[] = {{\n{rows(items, form, per_line)}\n}};")


def write():
    import unicodedata2 as ucd
    assert ucd.unidata_version == CLASSES, ucd.unidata_version
    category = [ucd.category(chr(c)) for c in range(0x110000)]
    old = old_enough()
    out = ["// Written by unicode_tables.py: do not edit.",
           f'constexpr const char* kUnicodeVersion = "{CLASSES}, normalization {NORMALIZATION}.0";']
    pair = lambda r: "{0x%X,0x%X}," % tuple(r)
    for name, member in (("Letter", lambda c: category[c][0] == "L"), ("Number", lambda c: category[c][0] == "N"),
                         ("Space", lambda c: c in WHITE_SPACE), ("Word", lambda c: is_word(category[c], c)),
                         ("Punctuation", lambda c: category[c][0] == "P")):
        table(out, f"Range k{name}Ranges", ranges(member), pair, 10)

    classes = []
    for c in CODE_POINTS:
        combining = ucd.combining(chr(c)) if c in old else 0
        if not combining:
            continue
        if classes and classes[-1][1] == c - 1 and classes[-1][2] == combining:
            classes[-1][1] = c
        else:
            classes.append([c, c, combining])
    table(out, "CombiningRange kCombiningRanges", classes, lambda r: "{0x%X,0x%X,%d}," % tuple(r), 9)

    decompositions, excluded = [], []
    for c in CODE_POINTS:
        text = ucd.decomposition(chr(c))
        if c not in old or not text or text[0] == "<":
            continue
        parts = [int(p, 16) for p in text.split()]
        decompositions.append((c, parts[0], parts[1] if len(parts) == 2 else 0))
        if ucd.normalize("NFC", chr(c)) != chr(c):
            excluded.append(c)
    table(out, "Decomposition kDecompositions", decompositions, lambda d: "{0x%X,0x%X,0x%X}," % d, 8)
    table(out, "char32_t kNeverComposed", excluded, lambda c: "0x%X," % c, 20)
    OUTPUT.write_text("\n\n".join(out) + "\n")


def read_ranges(name):
    import re
    text = OUTPUT.read_text().split(f"Range k{name}Ranges[] = {{")[1].split("};")[0]
    return {c for first, last in re.findall(r"\{0x(\w+),0x(\w+)\}", text) for c in range(int(first, 16), int(last, 16) + 1)}


def check():
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

    def matched(pattern):
        split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
        return {c for c in CODE_POINTS if split.pre_tokenize_str(chr(c))}

    digits = pre_tokenizers.Digits(individual_digits=True)
    word = Tokenizer(models.BPE(vocab={"\ue000": 0}, merges=[]))
    word.add_tokens([AddedToken("#", single_word=True, normalized=False)])
    seen = {
        "Letter": matched(r"\p{L}"), "Number": matched(r"\p{N}"), "Space": matched(r"\s"),
        "Punctuation": matched(r"\p{P}"),
        "Word": {c for c in CODE_POINTS if c != ord("#") and not word.encode(chr(c) + "#").ids},
    }
    numeric = {c for c in CODE_POINTS if len(digits.pre_tokenize_str("a" + chr(c) + "a")) == 3}
    for name, want in seen.items():
        ours = read_ranges(name)
        print(name, len(ours), "differ:", [hex(c) for c in sorted(ours ^ want)[:20]], len(ours ^ want))
    print("Numbers by Digits differ:", len(numeric ^ read_ranges("Number")), [hex(c) for c in sorted(numeric ^ read_ranges("Number"))[:40]])


if __name__ == "__main__":
    check() if sys.argv[1:] == ["--check"] else write()
