#!/usr/bin/env python3
"""Writes runtime/template_unicode_tables.inc from the Unicode data of the Python that runs it.

    python3 test/tools/template_unicode.py > runtime/template_unicode_tables.inc
"""
import unicodedata

ALL = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def ranges(flags):
    """Inclusive (first, last) of the runs of true flags."""
    out, start = [], None
    for c in range(0x110001):
        on = c < 0x110000 and flags(c)
        if on and start is None:
            start = c
        elif not on and start is not None:
            out.append((start, c - 1))
            start = None
    return out


def case_runs(convert):
    """(first, last, stride, delta) for the mappings to one character, and a list of those to several."""
    single, several = {}, []
    for ch in ALL:
        to = convert(ch)
        if to == ch:
            continue
        if len(to) == 1:
            single[ord(ch)] = ord(to) - ord(ch)
        else:
            several.append((ord(ch), to))
    runs, left = [], sorted(single)
    while left:
        first, delta = left[0], single[left[0]]
        best = [first]
        for stride in (1, 2):
            run = [first]
            while single.get(run[-1] + stride) == delta:
                run.append(run[-1] + stride)
            if len(run) > len(best):
                best = run
        taken = set(best)
        left = [c for c in left if c not in taken]
        runs.append((first, best[-1], best[1] - best[0] if len(best) > 1 else 1, delta))
    return runs, several


def put(kind, name, rows):
    print(f"constexpr {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        if len(line) + len(row) > 138:
            print(line)
            line = "   "
        line += " " + row + ","
    print(line + "\n};")


def is_cased(ch):
    return ch.isupper() or ch.islower() or ch.istitle()


def main():
    print(f"// Made by test/tools/template_unicode.py from Unicode {unicodedata.unidata_version}; not edited by hand.")
    for name, convert in (("kUpper", str.upper), ("kLower", str.lower), ("kTitle", str.title)):
        runs, several = case_runs(convert)
        put("CaseRun", name, ["{0x%X, 0x%X, %d, %d}" % r for r in runs])
        rows = []
        for c, to in several:
            units = [ord(x) for x in to] + [0] * (3 - len(to))
            rows.append("{0x%X, {0x%X, 0x%X, 0x%X}}" % (c, *units))
        put("CaseSeveral", name + "Several", rows)
    for name, has in (("kUppercase", str.isupper), ("kLowercase", str.islower), ("kTitlecase", lambda ch: ch.istitle() and not ch.isupper())):
        put("Range", name, ["{0x%X, 0x%X}" % r for r in ranges(lambda c, has=has: has(chr(c)))])
    # 'A' + ch + capital sigma lowers to a medial sigma only if ch is cased or ends the word; ignorable ones let the 'A' show through.
    put("Range", "kCaseIgnorable",
        ["{0x%X, 0x%X}" % r for r in ranges(lambda c: not is_cased(chr(c)) and ("A" + chr(c) + "\u03a3").lower().endswith("\u03c2"))])
    decimal = ranges(lambda c: unicodedata.decimal(chr(c), None) is not None)
    assert all(unicodedata.decimal(chr(c)) == (c - first) % 10 for first, last in decimal for c in range(first, last + 1))
    put("Range", "kDecimal", ["{0x%X, 0x%X}" % r for r in decimal])
    put("Range", "kNotPrintable", ["{0x%X, 0x%X}" % r for r in ranges(lambda c: not chr(c).isprintable())])


main()
