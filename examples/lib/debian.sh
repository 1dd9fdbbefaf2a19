# Sourced after build.sh. Files of Debian packages of any suite, without installing anything: for linking with an older glibc, and
# for root folders that hold nothing but what a program needs.

# debian_mirror: where this machine's apt gets Debian from.
debian_mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1; }

# debian_unpack SUITE FOLDER PACKAGE...: downloads the packages, checked by apt as always, and unpacks them into FOLDER, once. Links
# become relative, so that they hold within FOLDER whether it is a root or not.
debian_unpack() {
  local suite=$1 folder=$2 apt package link options
  shift 2
  [ -e "$folder.complete" ] && return 0
  apt=$build/apt/$suite
  rm -rf "$folder" "$apt"/*.deb
  mkdir -p "$folder" "$apt/lists/partial" "$apt/archives/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg target=Packages lang=none] $(debian_mirror) $suite main" >"$apt/sources.list"
  options=(-qq -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$apt"
           -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User="$(id -un)")
  (cd "$apt" && apt-get "${options[@]}" update && apt-get "${options[@]}" download "$@") >&2 || { say "cannot download from Debian $suite: $*"; return 1; }
  for package in "$apt"/*.deb; do dpkg-deb -x "$package" "$folder"; done
  for link in lib lib64; do [ -e "$folder/$link" ] || ln -s "usr/$link" "$folder/$link"; done     # from Debian 13 on another package has them
  find "$folder" -type l -lname '/*' | while read -r link; do
    ln -sfn "$(realpath -m -s --relative-to="$(dirname "$link")" "$folder$(readlink "$link")")" "$link"
  done
  touch "$folder.complete"
}
