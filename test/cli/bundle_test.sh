# The bundle with others' tools: skopeo carries and checks it, tar and sha256sum verify it, damage is refused by both.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
quick=$root/examples/quickstart
"$ibid" run "$quick/step.yaml" "$quick/samples.tsv" --model "$model" --quiet -o a.tsv --bundle a.tar

mkdir blobs && tar xf a.tar -C blobs
for f in blobs/blobs/sha256/*; do same "blob's name is its digest" "$(basename "$f")" "$(sha256sum <"$f" | cut -d' ' -f1)"; done

if command -v skopeo >/dev/null; then
  skopeo copy -q oci-archive:a.tar dir:copied
  skopeo copy -q oci-archive:a.tar oci:layout:x
  same "skopeo keeps every blob" "$(cd blobs/blobs/sha256 && ls)" "$(cd layout/blobs/sha256 && ls)"
  python3 - <<'PY'
import json
data = bytearray(open("a.tar", "rb").read())
at = data.index(b'"answers"')
data[at + 2] ^= 1
open("bad.tar", "wb").write(data)
PY
  exits 4 "$ibid" verify bad.tar
  holds "the damaged segment is named" "$err" "outcomes segment 0"
  if skopeo copy -q oci-archive:bad.tar dir:bad 2>/dev/null; then fail "skopeo took a damaged bundle"; fi
  checks=$((checks + 1))
else
  echo "SKIPPED: skopeo is not here"
fi
done_ok
