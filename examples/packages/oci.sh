#!/usr/bin/env bash
# An OCI image with ibid, written without a daemon: Debian's essential packages with procps, which workflow engines need in a container
# (bash, coreutils, ps), and the .tar.gz of build.sh in /usr/local. The same packages give the same bytes.
#   oci.sh [--no-install]
# Reads build-packages/ibid-*.tar.gz, writes build-packages/ibid-VERSION.oci.tar. IBID_BUILD names another folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
IBID_BUILD=${IBID_BUILD:-$(cd ../.. && pwd)/build-packages}
case "${1:-}" in
  '') ;;
  --no-install) export IBID_INSTALL=no ;;
  *) echo "usage: oci.sh [--no-install]" >&2; exit 2 ;;
esac
. ../lib/build.sh
need_packages mmdebstrap
tgz=$(echo "$build"/ibid-*-linux-x86_64.tar.gz)
[ -f "$tgz" ] || { say "no ibid-*.tar.gz in $build: run build.sh first"; exit 66; }
version=${tgz##*/ibid-}
version=${version%%-*}
# The time of the image and of everything in its own layer: the commit's, or what the caller says.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
image=$build/ibid-$version.oci.tar layout=$build/oci base=$build/debian-base.tar

if [ ! -f "$base" ]; then
  say "making Debian's part of the image"               # without times of its own, so that images of all versions share it
  SOURCE_DATE_EPOCH=0 mmdebstrap --quiet --variant=essential --include=procps bookworm "$base.part" --format=tar >&2
  mv "$base.part" "$base"
fi
# pack TAR FOLDER NAME...: a tar whose bytes depend on nothing but names and contents.
pack() { tar -cf "$1" -C "$2" --sort=name --mtime=@"$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=a+rX,go-w "${@:3}"; }

rm -rf "$layout"
mkdir -p "$layout/blobs/sha256" "$layout/root/usr/local"
tar -xf "$tgz" -C "$layout/root/usr/local" --strip-components 1
pack "$layout/ibid.tar" "$layout/root" usr

digest() { sha256sum "$1" | cut -c 1-64; }
# blob FILE MEDIATYPE: moves FILE to where the layout wants it and prints its descriptor.
blob() {
  local name size
  name=$(digest "$1") size=$(stat -c %s "$1")
  mv "$1" "$layout/blobs/sha256/$name"
  printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s}' "$2" "$name" "$size"
}
diff_ids= layers=
for layer in "$base" "$layout/ibid.tar"; do
  diff_ids+="${diff_ids:+,}\"sha256:$(digest "$layer")\""
  gzip -n <"$layer" >"$layout/layer.gz"
  layers+="${layers:+,}$(blob "$layout/layer.gz" layer.v1.tar+gzip)"
done
# No entry point: engines start a shell. The two variables are what NVIDIA's runtime looks for, and mean nothing without it.
created=$(date -u -d @"$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
cat >"$layout/config.json" <<J
{"architecture":"amd64","os":"linux","created":"$created","config":{"Cmd":["ibid","--help"],"Env":["PATH=/usr/local/bin:/usr/bin:/bin",
"NVIDIA_VISIBLE_DEVICES=all","NVIDIA_DRIVER_CAPABILITIES=compute,utility"],"Labels":{"org.opencontainers.image.title":"ibid",
"org.opencontainers.image.version":"$version","org.opencontainers.image.licenses":"Apache-2.0"}},"rootfs":{"type":"layers","diff_ids":[$diff_ids]}}
J
config=$(blob "$layout/config.json" config.v1+json)
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' \
  "$config" "$layers" >"$layout/manifest.json"
manifest=$(blob "$layout/manifest.json" manifest.v1+json)
printf '{"schemaVersion":2,"manifests":[%s,"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' \
  "${manifest%\}}" "$version" >"$layout/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
pack "$image.part" "$layout" blobs index.json oci-layout
mv "$image.part" "$image"
rm -rf "$layout"
echo "image    ${image##*/}, $(stat -c %s "$image") bytes, sha256:$(digest "$image")"
