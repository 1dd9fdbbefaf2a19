// See cli_pages.h. Values are completed by how the table writes them: "a|b[:N]" is a choice, FILE, PATH and DIR are what they say,
// anything else (N, BYTES, ID) is the user's to know.
#include "step/cli_pages.h"

#include <cstdio>
#include <map>

#include "step/commands.h"
#include "step/version.h"

namespace ibid::step {
namespace {

std::string replaced(const std::string& text, const std::map<char, const char*>& by) {
  std::string out;
  for (char c : text) {
    auto it = by.find(c);
    if (it == by.end()) out += c;
    else out += it->second;
  }
  return out;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }
std::string rest(const std::string& text) { return text.find('\n') == std::string::npos ? "" : text.substr(text.find('\n') + 1); }

std::vector<Flag> all_flags(const Command& c) {
  std::vector<Flag> flags = c.flags;
  flags.insert(flags.end(), common_flags().begin(), common_flags().end());
  return flags;
}

enum class Kind { none, file, directory, choice };

// What stands for an operand or follows a flag.
Kind kind_of(const std::string& value) {
  if (value.find('|') != std::string::npos) return Kind::choice;
  if (value == "DIR") return Kind::directory;
  for (const char* file : {"FILE", "PATH", "BUNDLE", "MODEL", "STEP.yaml", "A B"})
    if (value.rfind(file, 0) == 0) return Kind::file;
  return Kind::none;
}

// "auto|cpu|cuda[:N]" as "auto cpu cuda".
std::string choices(const std::string& value) { return replaced(value.substr(0, value.find('[')), {{'|', " "}}); }

// --- the manual page -----------------------------------------------------------------------------------------------------

// Text of a roff line: no character of it is a request or an escape, and a hyphen stays the hyphen that people type.
std::string roff(const std::string& text) {
  std::string out = replaced(text, {{'\\', "\\e"}, {'-', "\\-"}, {'\'', "\\(aq"}, {'\n', "\n.br\n"}});
  return !out.empty() && out[0] == '.' ? "\\&" + out : out;
}

std::string sentence(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  if (!text.empty() && text.back() != '.') text += '.';
  return text;
}

std::string roff_flags(const std::vector<Flag>& flags) {
  std::string out;
  for (const Flag& f : flags) {
    out += ".TP\n\\fB" + roff(f.name) + "\\fR" + (f.value ? " \\fI" + roff(f.value) + "\\fR" : "") + "\n" + roff(f.help) + "\n";
  }
  return out;
}

// --- completions ---------------------------------------------------------------------------------------------------------

// Inside single quotes of bash and zsh; fish has an escape there.
std::string shell_quoted(const std::string& text) { return "'" + replaced(text, {{'\'', "'\\''"}}) + "'"; }
std::string fish_quoted(const std::string& text) { return "'" + replaced(text, {{'\\', "\\\\"}, {'\'', "\\'"}}) + "'"; }

std::string bash_action(const std::string& value) {
  switch (kind_of(value)) {
    case Kind::file: return "files=-f";
    case Kind::directory: return "files=-d";
    case Kind::choice: return "words='" + choices(value) + "'";
    case Kind::none: break;
  }
  return ":";
}

std::string bash_completions() {
  std::string out = R"(# bash completion for ibid; written by 'ibid completions bash'
_ibid() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words= files=
  if [ "$word" = = ]; then word=
  elif [ "$before" = = ]; then before=${COMP_WORDS[COMP_CWORD-2]}
  fi
  if [ "$COMP_CWORD" -eq 1 ]; then
    words=')";
  for (const Command& c : commands()) out += std::string(c.name) + " ";
  out += "--help --version'\n  else\n    case \"${COMP_WORDS[1]} $before\" in\n";
  for (const Command& c : commands()) {
    for (const Flag& f : all_flags(c))
      if (f.value) out += "      '" + std::string(c.name) + " " + f.name + "') " + bash_action(f.value) + " ;;\n";
    out += "      '" + std::string(c.name) + " '*)\n        case \"$word\" in\n          -*) words='";
    for (const Flag& f : all_flags(c)) out += std::string(f.name) + " ";
    out.back() = '\'';
    out += " ;;\n          *) " + bash_action(c.operands) + " ;;\n        esac ;;\n";
  }
  return out + R"(    esac
  fi
  if [ -n "$files" ]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$files" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  fi
}
complete -F _ibid ibid
)";
}

std::string zsh_text(const std::string& text) { return replaced(text, {{'\\', "\\\\"}, {'[', "\\["}, {']', "\\]"}, {':', "\\:"}}); }

std::string zsh_action(const std::string& value) {
  switch (kind_of(value)) {
    case Kind::file: return "_files";
    case Kind::directory: return "_files -/";
    case Kind::choice: return "(" + choices(value) + ")";
    case Kind::none: break;
  }
  return " ";
}

std::string zsh_completions() {
  std::string out = R"(#compdef ibid
# zsh completion for ibid; written by 'ibid completions zsh'
_ibid() {
  if (( CURRENT == 2 )); then
    local -a commands=(
)";
  for (const Command& c : commands()) out += "      " + shell_quoted(std::string(c.name) + ":" + zsh_text(first_line(c.summary))) + "\n";
  out += "    )\n    _describe command commands\n    return\n  fi\n  shift words\n  (( CURRENT-- ))\n  case $words[1] in\n";
  for (const Command& c : commands()) {
    out += "    " + std::string(c.name) + ")\n      _arguments";
    for (const Flag& f : all_flags(c)) {
      std::string spec = "*" + std::string(f.name) + (f.value && f.name[1] == '-' ? "=" : "") + "[" + zsh_text(f.help) + "]";
      if (f.value) spec += ":" + zsh_text(f.value) + ":" + zsh_action(f.value);
      out += " \\\n        " + shell_quoted(spec);
    }
    if (c.max_operands != 0) out += " \\\n        " + shell_quoted("*:" + zsh_text(c.operands) + ":" + zsh_action(c.operands));
    out += " ;;\n";
  }
  return out + "  esac\n}\n_ibid \"$@\"\n";
}

std::string fish_action(const std::string& value) {
  switch (kind_of(value)) {
    case Kind::file: return " -r -F";
    case Kind::directory: return " -x -a '(__fish_complete_directories)'";
    case Kind::choice: return " -x -a " + fish_quoted(choices(value));
    case Kind::none: break;
  }
  return " -x";
}

std::string fish_completions() {
  std::string out = R"(# fish completion for ibid; written by 'ibid completions fish'
function __ibid_is
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test $words[2] = $argv[1]
end
function __ibid_no_command
    test (count (commandline -opc)) -lt 2
end
complete -c ibid -f
)";
  for (const Command& c : commands())
    out += "complete -c ibid -n __ibid_no_command -a " + std::string(c.name) + " -d " + fish_quoted(first_line(c.summary)) + "\n";
  for (const Command& c : commands()) {
    std::string when = "complete -c ibid -n '__ibid_is " + std::string(c.name) + "'";
    for (const Flag& f : all_flags(c))
      out += when + (f.name[1] == '-' ? " -l " + std::string(f.name + 2) : " -s " + std::string(f.name + 1)) +
             (f.value ? fish_action(f.value) : "") + " -d " + fish_quoted(f.help) + "\n";
    if (kind_of(c.operands) == Kind::choice) out += when + " -a " + fish_quoted(choices(c.operands)) + "\n";
    else if (kind_of(c.operands) != Kind::none) out += when + " -F\n";
  }
  return out;
}

}  // namespace

std::string man_page() {
  std::string version = version_text(false);
  version.pop_back();
  std::string out = ".TH IBID 1 \"\" \"" + version + "\" \"User Commands\"\n.SH NAME\n"
                    "ibid \\- run an LLM call as a pipeline step, and run it again with the same bytes\n.SH SYNOPSIS\n";
  for (const Command& c : commands()) {
    out += ".B ibid " + roff(c.name) + "\n.RI [ options ]\n";
    if (*c.operands) out += ".I " + roff(c.operands) + "\n";
    out += ".br\n";
  }
  out += ".SH DESCRIPTION\n";
  for (const char* line :
       {"One step id, one result: the same step gives the same bytes on every machine, with any number of threads, shards and caches.",
        "Results go to standard output or the named files, everything else to standard error; outputs appear whole or not at all.",
        "Options of a command may stand anywhere behind its name, as --name VALUE or --name=VALUE; -- ends them.",
        "- is standard input where an INPUT is named, and standard output where an output is."})
    out += roff(line) + "\n";
  out += ".SH COMMANDS\n";
  for (const Command& c : commands()) {
    out += ".SS ibid " + roff(c.name) + (*c.operands ? " " + roff(c.operands) : "") + "\n" + roff(sentence(first_line(c.summary))) + "\n";
    if (!rest(c.summary).empty()) out += roff(rest(c.summary)) + "\n";
    out += roff_flags(c.flags) + ".PP\nFor example:\n.PP\n.nf\n.RS\n" + roff(c.example) + "\n.RE\n.fi\n";
  }
  out += ".SH OPTIONS\nOf every command:\n" + roff_flags(common_flags()) + ".PP\nWithout a command:\n";
  out += roff_flags({{"--version", nullptr, "print the version; with --verbose also compiler, flags and machine"},
                     {"--help", nullptr, "list the commands"}});
  out += ".SH EXIT STATUS\n";
  for (const ExitCode& e : exit_codes()) out += std::string(".TP\n.B ") + e.code + "\n" + roff(sentence(e.means)) + "\n";
  out += ".PP\nTrying again can help after 74, 75 and a death by signal; after every other code it gives the same again.\n"
         ".SH ENVIRONMENT\n.TP\n.B TMPDIR\n";
  out += roff("Where 'ibid rerun' unpacks a model that is embedded in the bundle, for as long as it runs (default /tmp).");
  out += "\n.PP\nNothing else of the environment is read, nor any file in the home folder.\n"
         ".SH SEE ALSO\n.BR tar (1),\n.BR sha256sum (1),\n.BR skopeo (1).\n.PP\n";
  for (const char* line : {"share/doc/ibid beside the program's bin holds README.md, STEP.md (the keys of a step), TEMPLATES.md,",
                           "BUNDLE.md (what a bundle is), NUMERICS.md (what is computed, bit for bit) and step.schema.json."})
    out += roff(line) + "\n";
  return out;
}

std::string completions(const std::string& shell) {
  if (shell == "bash") return bash_completions();
  if (shell == "zsh") return zsh_completions();
  if (shell == "fish") return fish_completions();
  throw Error(ErrorKind::usage, "ibid completions", "no completions for '" + shell + "'", "they are there for bash, zsh and fish");
}

int command_man(const Args&) { return print(man_page()); }
int command_completions(const Args& args) { return print(completions(args.operands()[0])); }

}  // namespace ibid::step
