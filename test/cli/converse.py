"""Talks with a program that answers lines: each answer must come before the next line is written.

    converse.py PACKED HEADER INPUT ANSWERS COMMAND...

PACKED is gzip or plain; INPUT's first HEADER lines (0 or 1) are no record, and as many of ANSWERS are no answer. Six lines are said one by one,
where BLANK=yes each with a blank line and the first bytes of the next behind it, then the rest in one go."""
import os, signal, subprocess, sys, zlib

packed, header, (lines, answers) = sys.argv[1] == "gzip", int(sys.argv[2]), (open(path, "rb").readlines() for path in sys.argv[3:5])
packer = zlib.compressobj(wbits=31) if packed else None
signal.alarm(300)                                        # an answer that comes only when there is more to read ends here
run = subprocess.Popen(sys.argv[5:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

def say(text):
    run.stdin.write(packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH) if packed else text)
    run.stdin.flush()

def hear():
    want, got = answers.pop(0), run.stdout.readline()
    assert got == want, (want, got)

for line in lines[:header]: say(line)
records, begun = lines[header:], b""                     # begun: of the next record, what was said already
for i, record in enumerate(records[:6]):
    say(record.removeprefix(begun))
    if os.environ.get("BLANK") == "yes":
        begun = records[i + 1][:5]
        say(b"\n" + begun)                               # neither is waited for
    for _ in range(header if i == 0 else 0): hear()
    hear()
records[6] = records[6].removeprefix(begun)
for record in records[6:]: say(record)
if packed: run.stdin.write(packer.flush())
run.stdin.close()
while answers: hear()
assert run.wait() == 0 and not run.stdout.read(), run.returncode
