# The packages: what is in them, what the program asks of a system, that it runs with nothing but Debian 11's glibc around it, and in
# the image.
# test/packages/chroots.sh installs them in whole distributions.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
IBID_BUILD=$(dirname "$ibid")/packages
export IBID_BUILD

if ! "$root/examples/packages/build.sh" --no-install --cpu >built.txt 2>err.txt; then
  grep -q '^missing packages' err.txt || fail "build.sh: $(tail -n 20 err.txt)"
  echo "SKIPPED: $(cat err.txt)"
  exit 77
fi
version=$("$ibid" --version | cut -d ' ' -f 2)
deb=$IBID_BUILD/ibid_${version}_amd64.deb tgz=$IBID_BUILD/ibid-$version-linux-x86_64.tar.gz

# One list of files for both, but for the folder of zsh's completions.
tar -xf "$tgz"
cd "ibid-$version-linux-x86_64"
cat >../files.txt <<'F'
bin/ibid
share/bash-completion/completions/ibid
share/doc/ibid/BUNDLE.md
share/doc/ibid/LICENSE
share/doc/ibid/NEWS.md
share/doc/ibid/NUMERICS.md
share/doc/ibid/README.md
share/doc/ibid/STEP.md
share/doc/ibid/TEMPLATES.md
share/doc/ibid/copyright
share/doc/ibid/step.schema.json
share/fish/vendor_completions.d/ibid.fish
share/man/man1/ibid.1.gz
share/zsh/site-functions/_ibid
F
same "files of the .tar.gz" "$(cat ../files.txt)" "$(find . -type f | sed 's,^\./,,' | LC_ALL=C sort)"
same "files of the .deb" "$(sed 's/site-functions/vendor-completions/' ../files.txt)" \
  "$(dpkg-deb --fsys-tarfile "$deb" | tar -t | sed -n 's,^\./usr/\(.*[^/]\)$,\1,p' | LC_ALL=C sort)"
same "the program is one" "$(sha256sum <bin/ibid)" "$(dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/bin/ibid | sha256sum)"
same "the manual page" "$("$ibid" man | md5sum)" "$(zcat share/man/man1/ibid.1.gz | md5sum)"
same "the completions" "$("$ibid" completions zsh | md5sum)" "$(md5sum <share/zsh/site-functions/_ibid)"
for library in libarchive libssl libstdc++ libyaml-cpp libzstd zlib1g; do
  checks=$((checks + 1)); grep -q "^==== $library" share/doc/ibid/copyright || fail "no copyright of $library"
done
cd ..
same "package" "ibid $version amd64" "$(dpkg-deb -f "$deb" Package Version Architecture | sed 's/.*: //' | paste -s -d ' ')"

# What a program asks of a system: libraries, and the newest symbol of glibc.
libraries() { objdump -p "$1" | awk '$1 == "NEEDED" { print $2 }' | LC_ALL=C sort | paste -s -d ' '; }
newest() { objdump -T "$1" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1; }
program=$PWD/ibid-$version-linux-x86_64/bin/ibid
few="ld-linux-x86-64.so.2 libc.so.6 libdl.so.2 libm.so.6 libpthread.so.0"
checks=$((checks + 1)); [ "$(libraries "$ibid")" != "$few" ] || fail "control: the developers' program asks for no library"
if ! [ -e "$IBID_BUILD/glibc.complete" ]; then
  echo "SKIPPED for want of Debian 11's glibc: the oldest system, and the run on it"
  same "starts" "ibid $version" "$(env -i "$program" --version)"
  done_ok
  exit 0
fi
same "libraries" "$few" "$(libraries "$program")"
same "newest symbol" GLIBC_2.25 "$(newest "$program")"
same "dependencies" "libc6 (>= 2.25)" "$(dpkg-deb -f "$deb" Depends)"

[ "$(id -u)" -eq 0 ] || { echo "SKIPPED, not being root: what runs in root folders"; done_ok; exit 0; }
mkdir old
cp -a "$IBID_BUILD/glibc/." "$program" old
cp -r "$root/examples/quickstart/step.yaml" "$root/examples/quickstart/samples.tsv" "$model" old
inside() { env -i "$(command -v chroot)" old /ibid "$@"; }
exits 0 inside selftest
holds "selftest" "$out" "all digests as numerics v1 fixes them"
exits 0 inside run step.yaml samples.tsv --model biosample-tiny -o answers.tsv --bundle answers.ibid.tar --threads 2
exits 0 inside verify answers.ibid.tar
same "the README's result" "$(sed -n 's/^    result  //p' "$root/README.md")" "$(sed -n 's/^result  //p' out.txt)"
exits 0 inside rerun answers.ibid.tar --model biosample-tiny --sample 3
# An exception crosses the program, which finds its unwind tables without the glibc of today; a damaged file is an error, no abort.
exits 4 inside verify samples.tsv
exits 66 inside run nowhere.yaml
# Control: what is linked with this machine's glibc does not start there, where that is newer.
if [ "$(newest "$ibid" | sed 's/GLIBC_//')" != 2.25 ]; then
  cp "$ibid" old/ibid
  code=0; inside --version >out.txt 2>err.txt || code=$?
  checks=$((checks + 1)); [ "$code" != 0 ] || fail "control: the developers' program starts on Debian 11's glibc alone"
fi

# The image: read by others' tools, which compare every digest, unpacked by one of them and run. Written again, it is the same.
if ! command -v umoci >/dev/null || ! command -v skopeo >/dev/null; then
  echo "SKIPPED for want of umoci or skopeo: the OCI image"
elif ! "$root/examples/packages/oci.sh" --no-install >built.txt 2>err.txt; then
  echo "SKIPPED: the OCI image: $(tail -n 1 err.txt)"
else
  image=$IBID_BUILD/ibid-$version.oci.tar
  first=$(sha256sum <"$image")
  exits 0 "$root/examples/packages/oci.sh" --no-install
  same "the image's bytes, written twice" "$first" "$(sha256sum <"$image")"
  exits 0 skopeo copy --quiet "oci-archive:$image:$version" "oci:layout:$version"
  same "command" "ibid --help" "$(skopeo inspect --config "oci:layout:$version" | python3 -c 'import json,sys; print(*json.load(sys.stdin)["config"]["Cmd"])')"
  exits 0 umoci unpack --image "layout:$version" unpacked
  cp -r old/step.yaml old/samples.tsv old/biosample-tiny unpacked/rootfs/root
  exits 0 env -i PATH=/usr/local/bin:/usr/bin:/bin "$(command -v chroot)" unpacked/rootfs \
    bash -c 'cd /root; ibid run step.yaml samples.tsv --model biosample-tiny -o answers.tsv --quiet; md5sum <answers.tsv'
  same "answers in the image" "$(md5sum <old/answers.tsv)" "$out"
  # Control: skopeo notices another byte in a layer.
  printf x | dd of="$(find layout/blobs -size +1000k | head -n 1)" bs=1 seek=500000 conv=notrunc 2>/dev/null
  exits 1 skopeo copy --quiet "oci:layout:$version" dir:copy
  holds "control" "$err" "igest"
fi
done_ok
