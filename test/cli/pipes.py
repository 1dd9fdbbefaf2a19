"""Runs a program between pipes that do not wait, and proves that it waited where nothing could be read or written.

    pipes.py CODE WANT ROWS COMMAND...

It must exit with CODE and write what the file WANT holds. What it reads, the lines of the file ROWS, comes when it waits for it; what it
writes finds a full pipe, which is emptied when it waits for that. An empty ROWS is for commands that read nothing."""
import fcntl, os, re, struct, subprocess, sys, termios, time

code, want, rows = int(sys.argv[1]), open(sys.argv[2], "rb").read(), open(sys.argv[3], "rb").read().splitlines(True)
(give_read, give), (take, take_write) = os.pipe(), os.pipe()
fcntl.fcntl(take_write, fcntl.F_SETPIPE_SZ, 4096)
for end in (give_read, take_write): os.set_blocking(end, False)

def fill():
    """Returns how many bytes were in the pipe before, and how many came."""
    before, filled = struct.unpack("i", fcntl.ioctl(take, termios.FIONREAD, b"\0" * 4))[0], 0
    try:
        while True: filled += os.write(take_write, b"x")
    except BlockingIOError: return before, filled

def threads():
    """Of every thread: its state, and how often it went to sleep or was put to it."""
    folder = f"/proc/{run.pid}/task"
    try: status = {t: open(f"{folder}/{t}/status").read() for t in os.listdir(folder)}
    except (FileNotFoundError, ProcessLookupError): return {}                  # one ended meanwhile
    return {t: re.findall(r"^(?:State:\s+(\w)|\w+_switches:\s+(\d+))", text, re.M) for t, text in status.items()}

def wait_until_it_waits():
    """Asleep with all its threads and none awake in between: then only what is outside can wake it, which are the pipes."""
    last, end = None, time.monotonic() + 120
    while True:
        assert run.poll() is None, f"it ended with {run.returncode} instead of waiting"
        now = threads()
        if now and now == last and all(found[0][0] == "S" for found in now.values()): return
        assert time.monotonic() < end, f"it neither ends nor waits: {now}"
        last = now
        time.sleep(0.02)

if not rows: before, filled = fill()
run = subprocess.Popen(sys.argv[4:], stdin=give_read, stdout=take_write)
wait_until_it_waits()
if rows: before, filled = fill()
assert filled > 0, "the pipe was full already"
os.close(take_write)
for row in rows:
    wait_until_it_waits()
    os.write(give, row)
os.close(give)
wait_until_it_waits()
with os.fdopen(take, "rb") as pipe: got = pipe.read()
assert (run.wait(), got[:before] + got[before + filled:]) == (code, want), (run.returncode, got)
