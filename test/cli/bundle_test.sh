# The bundle with others' tools: skopeo carries and checks it, tar and sha256sum verify it, damage is refused by both; and what a
# forger can do who makes every digest right again.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
quick=$root/examples/quickstart
"$ibid" run "$quick/step.yaml" "$quick/samples.tsv" --model "$model" --quiet -o a.tsv --bundle a.tar

mkdir blobs && tar xf a.tar -C blobs
for f in blobs/blobs/sha256/*; do same "blob's name is its digest" "$(basename "$f")" "$(sha256sum <"$f" | cut -d' ' -f1)"; done

if command -v skopeo >/dev/null; then
  skopeo copy -q oci-archive:a.tar dir:copied
  skopeo copy -q oci-archive:a.tar oci:layout:x
  same "skopeo keeps every blob" "$(cd blobs/blobs/sha256 && ls)" "$(cd layout/blobs/sha256 && ls)"
  skopeo copy -q oci-archive:a.tar oci-archive:carried.tar              # its tar has entries for folders, too
  same "what skopeo wrote is the bundle" "$("$ibid" verify a.tar)" "$("$ibid" verify carried.tar)"
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
# Every digest is right again in these. The control: a forger who changes nothing makes the same bundle.
forge() { python3 "$root/test/cli/forge.py" a.tar forged.tar "$1"; }
rerun() { exits "$1" "$ibid" rerun forged.tar --model "$model" "${@:2}"; }
head -n 5 "$quick/samples.tsv" >few.tsv
"$ibid" run "$quick/step.yaml" few.tsv --model "$model" --quiet -o a.tsv --bundle a.tar
forge pass
same "the control" "$("$ibid" verify a.tar)" "$("$ibid" verify forged.tar)"
rerun 0

# An answer that is hidden, as if its record could not be read: the step id stays.
forge 'records[0]["prompt"] = records[0]["prompt_ids"] = None
outcomes[0]["answers"] = [{"status": "bad_record", "text": "", "ids": [], "logprobs": [], "margins": [], "error": "unreadable"}]'
exits 4 "$ibid" verify forged.tar
holds "verify names it" "$err" "record 1 (LF-001) is kept as a bad record"
rerun 3
holds "rerun has its prompt" "$out" "record LF-001 (number 1): prompt"
holds "what to do next" "$err" "one step id with two results: 'ibid selftest' tests this machine"
rerun 3 --records LF-001

# A record under another id: the fields stay, the noise of a sampling step would be another.
forge 'records[1]["id"] = outcomes[1]["id"] = "chosen"'
exits 4 "$ibid" verify forged.tar
holds "verify says the right one" "$err" "record 2 (chosen) is called $(awk -F "\t" "NR == 3 { print \$1 }" few.tsv) by its fields"
rerun 3
rerun 3 --records chosen

# Leaves that ibid does not write, a configuration that is none, an embedded model that is another one.
forge 'outcomes[0]["answers"][0]["margins"] = []'
exits 4 "$ibid" verify forged.tar
exits 4 "$ibid" show forged.tar LF-001
exits 4 "$ibid" diff a.tar forged.tar
for damage in 'del records[0]["prompt_ids"]' 'records[0]["prompt_ids"] = None' 'records[0]["prompt"] = 7' 'records[0]["prompt_ids"][0] = -1'; do
  forge "$damage"
  exits 4 "$ibid" verify forged.tar
  exits 4 "$ibid" show forged.tar LF-001
done
# What was cut is two numbers, and show has nothing of it for a terminal to obey.
forge 'records[0]["truncated"] = {"kept_bytes": "\u009b2J", "total_bytes": 2}'
exits 4 "$ibid" verify forged.tar
exits 0 "$ibid" show forged.tar LF-001
same "no C1 control" 0 "$(grep -c $'\xc2\x9b' <<<"$out" || true)"
# Answers that lack what their status has, or have more (the rest of them in audit_damage.py).
forge 'outcomes[0]["answers"][0]["margins"][0] = -1'
exits 4 "$ibid" verify forged.tar
holds "a margin below zero" "$err" "record 1 (LF-001) has an answer of status ok and a margin below zero"
forge 'records[0]["prompt"] = records[0]["prompt_ids"] = None'
exits 4 "$ibid" verify forged.tar
holds "an answer to nothing" "$err" "record 1 (LF-001) has an answer of status ok without a prompt"
forge 'outcomes[0]["answers"][0].update(status="template_error", error="x")'
exits 4 "$ibid" verify forged.tar
holds "an answer under an error" "$err" "record 1 (LF-001) has an answer of status template_error and a prompt"
forge 'outcomes[0]["answers"][0]["note"] = "x"'
exits 4 "$ibid" verify forged.tar
holds "more than ibid writes" "$err" "form that ibid does not write"
forge 'config["config"]["note"] = "x"'
exits 4 "$ibid" verify forged.tar
holds "a key of the configuration" "$err" "unknown key 'note'"
for damage in 'del config["config"]["model"]' 'config["config"]["model"] = 7' 'config["config"]["model"]["digest"] = "x"'; do
  forge "$damage"
  for command in verify show "diff a.tar"; do exits 4 "$ibid" $command forged.tar; done
done
forge 'layers.append({"mediaType": "application/vnd.ibid.model-file.v1", "annotations": {"org.opencontainers.image.title": "m.gguf"}}); contents.append(b"GGUF")'
exits 4 "$ibid" verify forged.tar
holds "another model" "$err" "the embedded model is not the one"
"$ibid" run "$quick/step.yaml" few.tsv --model "$model" --quiet -o a.tsv --bundle embedded.tar --embed-model
exits 0 "$ibid" verify embedded.tar
# A small bundle does not become a large one by naming a file of a model again and again, and what is embedded can be taken out again.
forge 'for n in range(20): layers.append({"mediaType": "application/vnd.ibid.model-file.v1", "annotations": {"org.opencontainers.image.title": "%02d" % n}}); contents.append(bytes(2 << 20))'
exits 4 "$ibid" verify forged.tar
holds "a file too often" "$err" "the model's files, together, are far larger than the bundle"
forge 'for n in "b", "a": layers.append({"mediaType": "application/vnd.ibid.model-file.v1", "annotations": {"org.opencontainers.image.title": n}}); contents.append(b"GGUF")'
exits 4 "$ibid" rerun forged.tar
holds "their order" "$err" "not in the order of their names"
cp -r "$model" twice && cp "$model/model.safetensors" twice/model.copy.safetensors
sed "s/^  digest: .*/  digest: $("$ibid" pin twice | sed -n 's/^  digest: //p')/" "$quick/step.yaml" >twice.yaml
exits 0 "$ibid" run twice.yaml few.tsv --model twice --bundle twice.tar --embed-model
exits 0 "$ibid" verify twice.tar
exits 0 "$ibid" rerun twice.tar
rm -r twice twice.tar
cp -r "$model" odd && touch odd/model..more.safetensors
sed "s/^  digest: .*/  digest: $("$ibid" pin odd 2>/dev/null | sed -n 's/^  digest: //p')/" "$quick/step.yaml" >odd.yaml
grep -q 'digest: sha256:' odd.yaml && exits 65 "$ibid" run odd.yaml few.tsv --model odd --bundle b.tar --embed-model
holds "its name" "$err" "model..more.safetensors: a file of this name cannot go into a bundle"
rm -r odd

# Whom a sample takes follows from the bundle id, and it may be anybody: of three records the last is among two for some bundles, not for all.
head -n 4 "$quick/samples.tsv" >three.tsv
"$ibid" run "$quick/step.yaml" three.tsv --model "$model" --quiet -o three.out --bundle three.tar
codes=()
for i in $(seq 12); do
  python3 "$root/test/cli/forge.py" three.tar forged.tar "outcomes[2]['answers'][0]['text'] = '$i'"
  code=0; "$ibid" rerun forged.tar --model "$model" --quiet --sample 2 >/dev/null 2>&1 || code=$?
  codes+=("$code")
done
same "the last of three records" "0 3" "$(printf '%s\n' "${codes[@]}" | sort -u | xargs)"

# The step as it was written is outside of all ids, and show does not present it as more.
forge 'contents[2] = b"another text"'
same "no id changes" "$("$ibid" verify a.tar)" "$("$ibid" verify forged.tar)"
holds "show says so" "$("$ibid" show forged.tar)" "which no id covers"

# Records that are bad in every way, whole and in shards: what is true is not called forged.
{ odd_table 3 6; printf '\tno id\n#9\tlooks like ours\nS1\tagain\nx\n'; printf 'S%s\tlate\n' "$(head -c 1100 /dev/zero | tr '\0' x)"; } >odd.tsv
sed 's/max_tokens: .*/max_tokens: 4/' "$quick/step.yaml" >short.yaml
exits 65 "$ibid" run short.yaml odd.tsv --model "$model" --bundle odd.tar
exits 0 "$ibid" verify odd.tar
exits 0 "$ibid" rerun odd.tar --model "$model"
exits 0 "$ibid" rerun odd.tar --model "$model" --sample 9
# Why a record could not be read is found again from its bytes.
cp odd.tar a.tar
forge pass
exits 0 "$ibid" verify forged.tar
rerun 0
forge 'outcomes[3]["answers"][0]["error"] = "not valid UTF-8"'
exits 4 "$ibid" verify forged.tar
holds "verify says the right one" "$err" "record 4 (#4) is a bad record for another reason than the bundle says: 1 field where the header has another number"
rerun 3
rerun 3 --records '#4'
# Words of bundles from before 26 November 2026 are sound, and a rerun says what they are now.
while read -r code words; do
  forge "outcomes[3]['answers'][0]['error'] = '$words'"
  exits "$code" "$ibid" verify forged.tar
  rerun 3
done <<'OLD'
0 1 fields where the header has 2
0 1 fields where the header has 17
4 1 fields where the header has 1
4 1 fields where the header has 0
4 1 fields where the header has 02
4 1 fields where the header has 12345678
4 2 fields where the header has 3
4 1 fields where the header has two
4 1 fields where the header has
OLD
printf '%s\n' '{}' '[1]' '{"sample": "a", "annotation": tru}' '{"sample": "b", "annotation": "liver"}' '\xff' $'\xff' >odd.jsonl
exits 65 "$ibid" run short.yaml odd.jsonl --set input.format=jsonl --model "$model" --bundle odd.jsonl.tar
exits 0 "$ibid" verify odd.jsonl.tar
exits 0 "$ibid" rerun odd.jsonl.tar --model "$model"
for i in 1 2 3 4; do
  exits 65 "$ibid" run short.yaml odd.tsv --model "$model" --shard "$i/4" --bundle "odd$i.tar"
  exits 0 "$ibid" verify "odd$i.tar"
  exits 0 "$ibid" rerun "odd$i.tar" --model "$model"
done
# That the system cannot read it (as the first page of a process's memory) is not damage: trying again may help.
for command in verify show merge; do
  exits 74 "$ibid" $command /proc/self/mem
  holds "not its fault" "$err" "/proc/self/mem: cannot read: Input/output error"
done
# A bundle in a step's place.
gzip -c a.tar >a.tar.gz
for command in lint "run --model $model" freeze; do
  exits 65 "$ibid" $command a.tar
  holds "a bundle" "$err" "a.tar: this is a bundle, not a step"
  exits 65 "$ibid" $command a.tar.gz
  holds "compressed" "$err" "a.tar.gz: this is compressed data, not a step"
done
done_ok
