#!/usr/bin/env bash
# Installs the packages in whole distributions and runs them there: the .deb on Debian 12 and 13, the .tar.gz on Debian 11, whose
# glibc is older than that of RHEL 9 (2.34). As root, with mmdebstrap and network; examples/packages/build.sh first.
#   chroots.sh [SUITE...]     default: bookworm trixie bullseye
# The distributions are made once, in build-packages/chroots.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
IBID_BUILD=${IBID_BUILD:-$PWD/build-packages}
. examples/lib/build.sh
deb=$(echo "$build"/ibid_*.deb) tgz=$(echo "$build"/ibid-*.tar.gz)
[ -f "$deb" ] && [ -f "$tgz" ] || { say "no packages in $build: run examples/packages/build.sh"; exit 66; }
[ "$(id -u)" -eq 0 ] || { say "SKIPPED: not root, so no chroot"; exit 77; }
need_packages mmdebstrap
wanted=$(sed -n 's/^    result  //p' README.md)
[ -n "$wanted" ] || { say "README.md names no result"; exit 70; }

[ $# -gt 0 ] || set -- bookworm trixie bullseye
for suite in "$@"; do
  base=$build/chroots/$suite-base root=$build/chroots/$suite
  if [ ! -e "$base.complete" ]; then
    rm -rf "$base"
    mkdir -p "$build/chroots"
    say "making a root folder of $suite"
    mmdebstrap --quiet --variant=essential "$suite" "$base" >&2
    touch "$base.complete"
  fi
  rm -rf "$root"
  cp -a "$base" "$root"
  inside() { env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$(command -v chroot)" "$root" "$@"; }
  if [ "$suite" = bullseye ]; then
    tar -xf "$tgz" -C "$root/usr/local" --strip-components 1
    package=${tgz##*/}
  else
    cp "$deb" "$root/ibid.deb"
    inside dpkg -i /ibid.deb >&2                      # fails when a dependency is not there
    package=${deb##*/}
    inside dpkg -V ibid                               # prints and fails when a file is not what the package holds
  fi
  mkdir "$root/step"
  cp -r examples/quickstart/{step.yaml,samples.tsv} examples/models/biosample-tiny "$root/step"
  echo "== $suite, glibc $(inside getconf GNU_LIBC_VERSION | cut -d ' ' -f 2), $package"
  inside ibid --version
  inside ibid selftest
  inside ibid run /step/step.yaml /step/samples.tsv --model /step/biosample-tiny -o /step/answers.tsv --bundle /step/answers.ibid.tar --quiet
  result=$(inside ibid verify /step/answers.ibid.tar | sed -n 's/^result  //p')
  [ "$result" = "$wanted" ] || { say "$suite: result $result, but README.md says $wanted"; exit 3; }
  inside ibid rerun /step/answers.ibid.tar --model /step/biosample-tiny --quiet
  if [ "$suite" != bullseye ]; then
    inside dpkg -r ibid >&2
    [ ! -e "$root/usr/bin/ibid" ] || { say "$suite: removing the package leaves the program"; exit 3; }
  fi
  rm -rf "$root"
done
echo "same result everywhere: $wanted"
