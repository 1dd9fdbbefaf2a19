# Outputs appear whole or not at all, all of a run together: whichever cannot be written, none of them is there.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
quick=$root/examples/quickstart
head -n 5 "$quick/samples.tsv" >few.tsv
run() { "$ibid" run "$quick/step.yaml" few.tsv --model "$model" --quiet --threads 1 "$@"; }
outputs=(-o out/a.tsv --bundle out/a.tar --mqc out/a_mqc.json --versions out/versions.yml --run-record out/record.json)
mkdir out
run "${outputs[@]}"
same "the control: all are there" "a.tar a.tsv a_mqc.json record.json versions.yml" "$(ls out | xargs)"
cp out/a.tsv out/a.tar .

# Whichever output meets the full disk, what it holds is small: it is written, and fails, when all the others are whole.
for flag in -o --bundle --mqc --versions --run-record; do
  rm -f out/*
  exits 74 run "${outputs[@]}" "$flag" /dev/full
  holds "what to do about a full disk" "$err" "make room and run again"
  same "$flag on a full disk leaves none of the others" "" "$(ls -A out)"
done

# A bundle that is larger than its segments together fails behind them (a limit on the size of files stands in for the disk).
largest=$(tar tvf a.tar | awk '{ if ($3 > n) n = $3 } END { print n }') whole=$(stat -c %s a.tar)
[ "$((largest / 1024 + 1))" -lt "$((whole / 1024))" ] || fail "no limit lies between $largest and $whole"
echo before >out/a.tsv
exits 74 bash -c "ulimit -f $((largest / 1024 + 1)); exec '$ibid' run '$quick/step.yaml' few.tsv --model '$model' --quiet -o out/a.tsv --bundle out/a.tar"
holds "the bundle is what failed" "$err" "out/a.tar: writing failed"
same "no bundle, and nothing left of it" "a.tsv" "$(ls -A out)"
same "the old rows stay" before "$(cat out/a.tsv)"

# The same for merge.
for i in 1 2; do run --shard "$i/2" -o /dev/null --bundle "part$i.tar"; done
rm -f out/*
exits 74 "$ibid" merge part1.tar part2.tar -o out/a.tsv --bundle /dev/full --mqc out/a_mqc.json --quiet
same "merge leaves none" "" "$(ls -A out)"
exits 0 "$ibid" merge part1.tar part2.tar -o out/a.tsv --bundle out/a.tar --quiet
cmp a.tsv out/a.tsv && cmp a.tar out/a.tar || fail "merge: other bytes"

# A rename that fails after another (a folder comes in the bundle's way): the rows that were there before are there again, and --resume, which
# finds every answer in the journal or the cache, ends with both.
for keep in "--resume" "--cache cache"; do
  rm -rf out/* out/.[!.]*
  mkfifo "in$keep"
  "$ibid" run "$quick/step.yaml" --model "$model" --quiet -o out/a.tsv --bundle out/a.tar $keep <"in$keep" 2>err.txt & pid=$!
  exec 9>"in$keep"
  until ls out/.a.tar.*.ibid-tmp >/dev/null 2>&1; do kill -0 $pid || fail "ended early: $(cat err.txt)"; sleep 0.01; done
  mkdir out/a.tar
  [ "$keep" = --resume ] || ln -s before out/a.tsv
  cat few.tsv >&9
  exec 9>&-
  code=0; wait $pid || code=$?
  same "$keep: the bundle cannot be renamed" 73 "$code"
  rmdir out/a.tar
  [ "$keep" = --resume ] && { [ ! -e out/a.tsv ] || fail "the rows stayed"; } || same "the link of before" before "$(readlink out/a.tsv)"
  run -o out/a.tsv --bundle out/a.tar $keep --run-record record.json
  cmp a.tsv out/a.tsv && cmp a.tar out/a.tar || fail "$keep: other bytes"
  same "$keep: every answer was kept" 4 "$(python3 -c 'import json; print(json.load(open("record.json"))["reused_answers"])')"
  same "$keep: nothing else stays" "a.tar a.tsv" "$(ls -A out | xargs)"
  checks=$((checks + 3))
done

# A bundle into a stream: what is spooled meanwhile lies in the current folder, wherever the stream is.
run -o /dev/null --bundle >(cat >piped.tar; mv piped.tar whole.tar)
for i in $(seq 500); do [ -e whole.tar ] && break; sleep 0.01; done
cmp a.tar whole.tar || fail "the bundle through a pipe"
checks=$((checks + 1))

# A name of an open descriptor, as /dev/stdout is one, is written to like "-"; a link of our own stands for it, since who may write
# to /dev would replace it. What others write to the same file stays.
ln -s /proc/self/fd/1 stdout
{ echo before; run -o ./stdout; echo after; } >together
same "the rows come between" "$(echo before; cat a.tsv; echo after)" "$(cat together)"
[ -L stdout ] || fail "the name was replaced"
run -o /dev/fd/7 7>seven
cmp a.tsv seven || fail "a descriptor by its number"

# An output in a file that is read would be all that is left of it: refused by whatever name, before anything is computed.
refused() { local says=$1; shift; exits 2 "$@"; holds "an output in what is read" "$err" "$says"; }
mkdir mine && cp few.tsv mine/in.tsv && cp -r "$model" mine/model && printf 'a side file' >mine/side.md && cd mine
{ sed "/^prompt:/a \\  files: {side: {path: side.md, digest: sha256:$(sha256sum side.md | cut -c 1-64)}}" "$quick/step.yaml"; echo "# its own"; } >s.yaml
cp -r . ../before
ln -s in.tsv link && mkfifo pipe && cp side.md other.md
own() { "$ibid" run s.yaml in.tsv --model model --quiet --threads 1 "$@"; }
refused "-o: s.yaml is also the step" own -o s.yaml
refused "-o: ./in.tsv is also the input" own -o ./in.tsv
refused "--bundle: in.tsv is also the input" "$ibid" run s.yaml link --model model -o x --bundle in.tsv
refused "-o: in.tsv is also the input" "$ibid" run s.yaml other.tsv in.tsv --model model -o in.tsv
refused "--mqc: in.tsv is also the input" bash -c "'$ibid' run s.yaml --model model -o x --mqc in.tsv <in.tsv"
refused "-o: standard output is also the input" bash -c "'$ibid' run s.yaml in.tsv --model model >>in.tsv"
refused "--versions: side.md is also the side file 'side'" own -o x --versions side.md
refused "--run-record: other.md is also the side file 'side'" own -o x --file side=other.md --run-record other.md
refused "-o: model/config.json is also a file of the model" own -o model/config.json
for i in 1 2; do own --shard "$i/2" -o /dev/null --bundle "p$i.tar"; done
cp p1.tar p1.old
refused "--bundle: p1.tar is also a bundle to merge" "$ibid" merge p1.tar p2.tar -o x --bundle p1.tar
refused "-o: in.tsv is also the input" "$ibid" merge a.tar --input in.tsv -o in.tsv
refused "--html: p1.tar is also the bundle" "$ibid" show p1.tar --html p1.tar
refused "-o: s.yaml is also the step" "$ibid" freeze s.yaml -o s.yaml
refused "-o: side.md is also the side file 'side'" "$ibid" freeze s.yaml -o side.md
refused "--limit: says how many records" "$ibid" show p1.tar --limit 3
for file in in.tsv s.yaml side.md model/config.json; do cmp $file "../before/$file" || fail "$file was touched"; done
cmp p1.tar p1.old || fail "the shard was touched"
same "nothing was written" "" "$(ls x 2>/dev/null || true)"
ln -s in.tsv staged.tsv
"$ibid" run s.yaml staged.tsv --model model --quiet -o staged.tsv
[ ! -L staged.tsv ] && cmp staged.tsv ../a.tsv && cmp in.tsv ../before/in.tsv || fail "a staged link is replaced, and the input it led to stays"
ln in.tsv hard.tsv
"$ibid" run s.yaml hard.tsv --model model --quiet -o hard.tsv
cmp hard.tsv ../a.tsv && cmp in.tsv ../before/in.tsv || fail "another name of the input is replaced, and the input stays"
cat in.tsv >pipe & own -o /dev/null --bundle /dev/null; "$ibid" run s.yaml pipe --model model --quiet -o /dev/stdout >x; wait $!
cmp x ../a.tsv || fail "streams are no files"
own -o new.tsv && own -o new.tsv && cmp new.tsv x || fail "an output of before is replaced"
cd ..
checks=$((checks + 7))

# A link to a file is replaced, never written through: in a work folder it leads to another task's file.
echo theirs >theirs.tsv
ln -s theirs.tsv link.tsv
run -o link.tsv
same "theirs stays" theirs "$(cat theirs.tsv)"
[ ! -L link.tsv ] && cmp a.tsv link.tsv || fail "the link was not replaced"
checks=$((checks + 4))

# A file keeps its mode; one that its owner has protected is not replaced.
echo mine >private.tsv
chmod 600 private.tsv
run -o private.tsv
same "the mode stays" 600 "$(stat -c %a private.tsv)"
echo precious >protected.tsv
chmod 444 protected.tsv
exits 73 run -o protected.tsv
holds "what stands in the way" "$err" "protected.tsv: exists and may not be replaced: it is read-only"
same "it stays" precious "$(cat protected.tsv)"

# Nobody else can read what is to replace it while that is written, whatever the umask.
mkfifo slow
(umask 0; exec "$ibid" run "$quick/step.yaml" --model "$model" --quiet -o private.tsv <slow) & pid=$!
exec 9>slow
until ls .private.tsv.*.ibid-tmp >/dev/null 2>&1; do kill -0 $pid || fail "ended early"; sleep 0.01; done
same "the mode meanwhile" 600 "$(stat -c %a .private.tsv.*.ibid-tmp)"
cat few.tsv >&9
exec 9>&-
wait $pid
same "the mode in the end" 600 "$(stat -c %a private.tsv)"

# What its group may do, no other group may: in a namespace of users nobody can give a file the group that it has outside.
echo ours >grouped.tsv
chmod 660 grouped.tsv
if chgrp 54399 grouped.tsv 2>/dev/null && unshare -r true 2>/dev/null; then
  exits 0 unshare -r "$ibid" run "$quick/step.yaml" few.tsv --model "$model" --quiet -o grouped.tsv
  same "a group that cannot be given" "600 $(id -g)" "$(stat -c '%a %g' grouped.tsv)"
else
  echo "skipped: a group that cannot be given, which here nobody can give before"
fi

# It keeps its access control list, too: of its group, its owner and one more user only these two read it then.
echo mine >listed.tsv
python3 - <<'END'
import os, struct
entry = lambda tag, rights, who=0xFFFFFFFF: struct.pack("<HHI", tag, rights, who)
acl = struct.pack("<I", 2) + entry(1, 6) + entry(2, 6, 54399) + entry(4, 0) + entry(16, 6) + entry(32, 0)
try: os.setxattr("listed.tsv", "system.posix_acl_access", acl)
except OSError: open("no_acl", "w")
END
if [ ! -e no_acl ]; then
  list() { python3 -c 'import os; print(os.getxattr("listed.tsv", "system.posix_acl_access").hex())'; }
  before=$(list)
  run -o listed.tsv
  same "the list stays" "$before" "$(list)"
  # One without a list stays so, where new files get one from their folder.
  mkdir lists && echo mine >lists/plain.tsv && chmod 660 lists/plain.tsv
  python3 -c 'import os; os.setxattr("lists", "system.posix_acl_default", os.getxattr("listed.tsv", "system.posix_acl_access"))'
  run -o lists/new.tsv
  python3 -c 'import os; assert os.listxattr("lists/new.tsv")'
  run -o lists/plain.tsv
  same "no list, and the mode" "660 []" "$(stat -c %a lists/plain.tsv) $(python3 -c 'import os; print(os.listxattr("lists/plain.tsv"))')"
else
  echo "skipped: access control lists, which this file system does not have"
fi

# What would keep a finished output out of its place is found before anything is computed.
exits 73 run -o b.tsv --bundle "$(printf 'n%.0s' $(seq 252)).tar"
holds "a name too long" "$err" "File name too long"
same "nothing was written" "" "$(find . -name '*b.tsv*')"
cat >mounted.sh <<END
mkdir mounted && touch mounted/out.tsv few.tsv
mount --bind few.tsv mounted/out.tsv
exec '$ibid' run '$quick/step.yaml' few.tsv --model '$model' --quiet -o mounted/out.tsv
END
if unshare -rm true 2>/dev/null; then
  exits 73 unshare -rm bash mounted.sh
  holds "a mount point" "$err" "mounted/out.tsv: exists and may not be replaced: it is a mount point"
else
  echo "skipped: a mount point, which nobody may make here"
fi

# Nobody else's outputs appear among those of a run: the folder is locked while they do.
rm -rf shared && mkdir shared && mkfifo held
flock shared cat held >/dev/null & exec 9>held
run -o shared/a.tsv --bundle shared/a.tar 9>&- & pid=$!
until [ "$(find shared -name '.a.*.ibid-tmp' -size +0 | wc -l)" = 2 ]; do kill -0 $pid || fail "ended early"; sleep 0.01; done
sleep 0.5
same "nothing appears while another publishes" "" "$(ls shared)"
exec 9>&-
wait $pid
same "then all does" "a.tar a.tsv" "$(ls shared | xargs)"
rm shared/*
flock shared "$ibid" run "$quick/step.yaml" few.tsv --model "$model" --quiet -o shared/a.tsv
same "who is locked out for good goes on" a.tsv "$(ls shared)"

# A name may be as long as names are; its temporary file and its journal have shorter ones.
long=$(printf 'n%.0s' $(seq 255))
run -o "$long" --resume
cmp a.tsv "$long" || fail "a name of 255 bytes"
checks=$((checks + 1))
done_ok
