# The manual page and the completions hold every command and option that --help shows, and work in the programs they are for.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
have() { command -v "$1" >/dev/null || { echo "SKIPPED for want of $1: $2"; return 1; }; }

exits 0 "$ibid" man
cp out.txt ibid.1
for shell in bash zsh fish; do
  exits 0 "$ibid" completions $shell
  cp out.txt ibid.$shell
done
exits 2 "$ibid" completions tcsh
holds "the shells are named" "$err" "bash, zsh and fish"
exits 2 "$ibid" completions

# What --help shows, as COMMAND and COMMAND OPTION; ibid completes and describes all of it.
"$ibid" --help | awk '/^  [a-z]/ { print $1 }' >commands.txt
same "commands" 13 "$(wc -l <commands.txt)"
while read -r command; do
  echo "$command"
  "$ibid" "$command" --help | awk -v c="$command" '/^  -/ { print c, $1 }'
done <commands.txt >all.txt
checks=$((checks + 1)); [ "$(wc -l <all.txt)" -gt 100 ] || fail "only $(wc -l <all.txt) commands and options"

# What a page has of that list, in the list's form: each page is read in its own syntax.
in_man() {
  sed 's/\\-/-/g; s/\\fB//; s/\\fR.*//' "$1" | awk -v commands="$(tr '\n' ' ' <commands.txt)" '
    BEGIN { split(commands, list, " ") }
    /^\.SS / { command = $3; print command; next }
    /^\.SH / { command = ""; of_all = $0 == ".SH OPTIONS" }
    /^Without a command/ { of_all = 0 }
    before == ".TP" && /^-/ { if (command) print command, $1; else if (of_all) for (i in list) print list[i], $1 }
    { before = $0 }'
}
in_bash() {
  sed -n "s/ --help --version'//; s/^ *words='//p" "$1" | head -n 1 | tr ' ' '\n'
  awk -F "'" "/^      '[a-z]* '\\*/ { command = \$2 } /-\\*\\) words=/ { n = split(\$2, w, \" \"); for (i = 1; i <= n; ++i) print command w[i] }" "$1"
}
in_zsh() {
  awk -F "'" "/^      '/ { sub(/:.*/, \"\", \$2); print \$2 }
    /^    [a-z]*\\)/ { command = \$1; gsub(/[ )]/, \"\", command) }
    /^        '\\*-/ { sub(/^\\*/, \"\", \$2); sub(/[=[].*/, \"\", \$2); print command, \$2 }" "$1"
}
in_fish() {
  sed -n -e 's/^complete -c ibid -n __ibid_no_command -a \([a-z]*\) .*/\1/p' \
         -e "s/^complete -c ibid -n '__ibid_is \([a-z]*\)' -l \([a-z-]*\) .*/\1 --\2/p" \
         -e "s/^complete -c ibid -n '__ibid_is \([a-z]*\)' -s \(.\) .*/\1 -\2/p" "$1"
}
sort -o all.txt all.txt
whole() { in_"$1" "$2" | sort >found.txt; cmp -s all.txt found.txt; }
for page in man bash zsh fish; do
  file=ibid.$page; [ $page != man ] || file=ibid.1
  checks=$((checks + 1)); whole $page $file || fail "$file is not what --help shows: $(diff all.txt found.txt | head)"
  # Control: without one option, the same comparison fails.
  sed -e 's/ --wait-gpu//' -e '/^.fB.-.-wait/d' -e '/-l wait-gpu/d' -e '/--wait-gpu=\[/d' $file >less.txt
  checks=$((checks + 1)); ! whole $page less.txt || fail "$file without --wait-gpu was not noticed"
done

# The exit codes of the page are those of the README.
sed -n '/^\.SH EXIT/,/^\.SH ENV/p' ibid.1 | sed -n 's/^\.B //p' | tr -d '\n' >codes.txt
same "exit codes" "$(sed -n 's/^| \([0-9][0-9n, +]*\) |.*/\1/p' "$root/README.md" | tr -d ' ,\n')" "$(cat codes.txt)"

if have groff "the manual page set as text"; then
  exits 0 groff -man -Tascii -ww ibid.1
  same "groff's warnings" "" "$err"
  holds "set" "$out" "samples.tsv --model models/ -o answers.jsonl"
  sed 's/^\.SH NAME/.SH NAME\n.frobnicate/' ibid.1 >bad.1
  groff -man -Tascii -ww bad.1 >out.txt 2>err.txt
  holds "control: groff warns" "$(cat err.txt)" "frobnicate"
fi

# The shells themselves complete: "WORDS... PART" is what was typed, the rest what they offer.
mkdir -p material/folder
touch material/step.yaml "material/my answers.tar"
try_all() {                                            # try_all COMPLETER: the same table for every shell
  same "$1: a command" "run" "$("$1" ru)"
  same "$1: an option" "--device" "$("$1" run --dev)"
  same "$1: of this command only" "--limit," "$("$1" diff --li),$("$1" run --li)"
  same "$1: a value" "cuda" "$("$1" run --device cu)"
  same "$1: a file" "material/step.yaml" "$("$1" run material/st)"
  same "$1: a file for an option" "material/step.yaml" "$("$1" run -o material/st)"
  same "$1: a folder, no file" "material/folder" "$("$1" run --cache material/ | sed 's,/$,,')"
  same "$1: nothing for a number" "" "$("$1" run --threads "")"
  same "$1: a shell" "fish" "$("$1" completions f)"
  same "$1: an operand that is a command's name" "--resume" "$("$1" run show --res)"
}
in_the_bash() {
  bash -c '. ./ibid.bash; COMP_WORDS=(ibid "$@"); COMP_CWORD=$#; _ibid; printf "%s\n" "${COMPREPLY[@]}"' - "$@"
}
# fish 4 also lists what is merely similar, behind what begins so.
in_the_fish() { fish --no-config -c "source ibid.fish; complete -C 'ibid $*'" | cut -f 1 | { grep -e "^${!#}" || true; }; }
bash -n ibid.bash
try_all in_the_bash
same "bash: behind =" "cpu cuda" "$(in_the_bash run --device = c | tr '\n' ' ' | sed 's/ $//')"
if have fish "fish's completions"; then
  fish --no-config -n ibid.fish
  try_all in_the_fish
fi
if have zsh "zsh's completions" && have script "zsh's completions at work" && has_terminals "zsh's completions at work"; then
  zsh -n ibid.zsh
  mkdir functions
  cp ibid.zsh functions/_ibid
  # A terminal, where TAB completes what it can and the line that comes of it is run.
  cat >setup.zsh <<'Z'
fpath=($PWD/functions $fpath); autoload -U compinit; compinit -D -u; ibid() { print -r -- "$*" >>got.txt }
Z
  tab=$'\t'
  printf '%s\n' '. ./setup.zsh' "ibid ru$tab" "ibid run --devi${tab}cpu" "ibid run --device cu$tab" "ibid diff --li$tab" \
    "ibid run -o material/st$tab" "ibid run --cache material/$tab" "ibid completions f$tab" "ibid run show --res$tab" exit >typed.txt
  TERM=dumb timeout 60 script -qec "zsh -f -i" /dev/null <typed.txt >terminal.txt || fail "zsh: $(cat terminal.txt)"
  became="run|run --device=cpu|run --device cuda|diff --limit|run -o material/step.yaml|run --cache material/folder|completions fish|run show --resume"
  same "zsh: what the lines became" "$became" "$(sed 's/ *$//' got.txt | paste -s -d '|')"
fi
done_ok
