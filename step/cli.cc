// See cli.h. The table of commands itself is in commands.cc.
#include "step/cli.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <deque>
#include <sstream>

#include "runtime/json.h"
#include "step/clock.h"
#include "step/output_file.h"
#include "step/source_text.h"

namespace ibid::step {
namespace {

const Flag* find_flag(const Command& command, const std::string& name) {
  for (const std::vector<Flag>* list : {&command.flags, &common_flags()})
    for (const Flag& f : *list)
      if (name == f.name) return &f;
  return nullptr;
}

bool is_path(const Flag& flag) {
  const std::string_view value = flag.value ? flag.value : "";
  return value == "FILE" || value == "PATH" || value == "DIR";
}

Error unknown_flag(const Command& command, const std::string& name) {
  std::vector<std::string_view> known;
  for (const Flag& f : command.flags) known.push_back(f.name);
  for (const Flag& f : common_flags()) known.push_back(f.name);
  std::string hint = did_you_mean(name, known);
  return Error(ErrorKind::usage, std::string("ibid ") + command.name, "unknown option " + name,
               hint.empty() ? std::string("ibid ") + command.name + " --help lists them" : hint);
}

std::string usage_line(const Command& c) {
  return std::string("usage: ibid ") + c.name + " [OPTION...]" + (*c.operands ? std::string(" ") + c.operands : "");
}

// "INPUT" for the third operand of "STEP.yaml [INPUT...]".
std::string operand_name(const Command& command, size_t index) {
  std::istringstream words(command.operands);
  std::string word;
  for (size_t i = 0; i <= index && words >> word; ++i) {}
  std::erase_if(word, [](char c) { return c == '[' || c == ']'; });
  if (word.ends_with("...")) word.resize(word.size() - 3);
  return word;
}

std::string with_article(const std::string& word) { return (word.starts_with("A") || word.starts_with("I") ? "an " : "a ") + word; }

LogOptions g_log;
volatile sig_atomic_t g_redrawn = 0;                   // a progress line stands on the terminal: what comes next takes its place
constexpr std::string_view kEraseLine = "\r\033[K";
std::atomic<const char*> g_last_words{"ibid: error: interrupted\n"}, g_bus_words{"ibid: error: SIGBUS\n"};
volatile sig_atomic_t g_signal = 0;

std::string line_of(const char* level, const std::string& message, const std::string& hint = "", const std::string& where = "") {
  if (g_log.format == LogFormat::json) {
    Json::Object o{{"level", level}, {"message", as_utf8(message)}};
    if (!where.empty()) o.emplace_back("where", as_utf8(where));
    if (!hint.empty()) o.emplace_back("hint", as_utf8(hint));
    return printable(Json(std::move(o)).dump() + "\n");
  }
  std::string prefix = std::strcmp(level, "info") == 0 ? "ibid: " : std::string("ibid: ") + level + ": ";
  std::string line = prefix + (where.empty() ? "" : where + ": ") + message + "\n";
  if (!hint.empty()) line += "ibid: hint: " + hint + "\n";
  return printable(line);
}

void erase_progress() {
  if (g_redrawn) std::fwrite(kEraseLine.data(), 1, kEraseLine.size(), stderr);
  g_redrawn = 0;
}

void put_line(const char* level, const std::string& message, const std::string& hint = "", const std::string& where = "") {
  erase_progress();
  std::string line = line_of(level, message, hint, where);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

// A line that a handler may read at any moment: none is ever freed.
const char* kept_line(const std::string& line) {
  static std::deque<std::string>& said = *new std::deque<std::string>;
  return said.emplace_back(line).c_str();
}

// Only what a handler may do: unlink, poll, write, signal, raise.
void die_in_handler(int s, const char* words) {
  remove_temporaries();
  if (g_redrawn && stderr_takes()) (void)!::write(STDERR_FILENO, kEraseLine.data(), kEraseLine.size());
  if (stderr_takes()) (void)!::write(STDERR_FILENO, words, std::strlen(words));
  signal(s, SIG_DFL);
  raise(s);
}

// What is too long for its column stands on a line of its own.
std::string padded(const std::string& left, size_t width) {
  return left.size() < width ? left + std::string(width - left.size(), ' ') : left + "\n  " + std::string(width, ' ');
}

}  // namespace

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage: return kUsage;
    case ErrorKind::corrupt: return kCorrupt;
    case ErrorKind::incomparable: return kIncomparable;
    case ErrorKind::bad_data: return kBadData;
    case ErrorKind::not_found: return kNotFound;
    case ErrorKind::unavailable: return kUnavailable;
    case ErrorKind::internal: return kInternal;
    case ErrorKind::cannot_create: return kCannotCreate;
    case ErrorKind::io: return kIo;
    case ErrorKind::temporary: return kTemporary;
  }
  return kInternal;
}

const std::vector<Flag>& common_flags() {
  static const std::vector<Flag> flags = {
      {"--quiet", nullptr, "say nothing on stderr but errors"},
      {"--verbose", nullptr, "say more on stderr"},
      {"--log-format", "text|json", "form of stderr lines (default text)"},
      {"--help", nullptr, "print this help"},
  };
  return flags;
}

const std::vector<ExitCode>& exit_codes() {
  static const std::vector<ExitCode> table = {
      {"0", "done"},
      {"2", "the command line is wrong"},
      {"3", "a rerun or diff found a difference"},
      {"4", "a bundle is damaged, or not the expected one"},
      {"5", "cannot be compared: the model is missing, or is another one"},
      {"65", "manifest, model or input is wrong, or more records failed than the step accepts"},
      {"66", "an input, a model or a step is missing, or may not be read"},
      {"69", "no such device or instruction set"},
      {"70", "a bug of ours"},
      {"73", "an output cannot be created"},
      {"74", "reading or writing failed, a closed pipe included"},
      {"75", "temporary: out of memory, a GPU that is taken or has failed; the same command may succeed later"},
      {"128+n", "died by signal n, leaving no partial output and, with --resume, what is needed to go on"},
  };
  return table;
}

Args::Args(const Command& command, const std::vector<std::string>& words) {
  bool only_operands = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (only_operands || word == "-" || word.empty() || word[0] != '-') {
      operands_.push_back(word);
      continue;
    }
    if (word == "--") {
      only_operands = true;
      continue;
    }
    size_t equals = word.rfind("--", 0) == 0 ? word.find('=') : std::string::npos;
    std::string name = word == "-h" ? "--help" : word.substr(0, equals);
    const Flag* flag = find_flag(command, name);
    if (!flag) throw unknown_flag(command, name);
    if (!flag->value) {
      if (equals != std::string::npos) throw Error(ErrorKind::usage, name, "takes no value");
      values_[name].push_back("");
    } else if (equals != std::string::npos) {
      values_[name].push_back(word.substr(equals + 1));
    } else {
      if (i + 1 == words.size()) throw Error(ErrorKind::usage, name, std::string("needs a value: ") + name + " " + flag->value);
      const std::string& value = words[++i];
      if (value.size() > 1 && value[0] == '-')
        throw Error(ErrorKind::usage, name, "needs a value, " + std::string(flag->value) + ", and is followed by '" + value + "'",
                    std::string("is a variable empty?") + (is_path(*flag) ? " a file of that name is ./" + value : ""));
      values_[name].push_back(value);
    }
    if (is_path(*flag) && values_[name].back().empty()) throw Error(ErrorKind::usage, name, "is empty: is a variable empty?");
  }
  if (has("--help")) return;
  int n = static_cast<int>(operands_.size());
  if (n < command.min_operands || (command.max_operands >= 0 && n > command.max_operands))
    throw Error(ErrorKind::usage, std::string("ibid ") + command.name,
                n < command.min_operands ? operand_name(command, operands_.size()) + " is missing"
                                         : "too many operands: " + operands_.back(),
                usage_line(command));
  for (size_t i = 0; i < operands_.size(); ++i)
    if (operands_[i].empty())
      throw Error(ErrorKind::usage, std::string("ibid ") + command.name,
                  with_article(operand_name(command, i)) + " is empty: is a variable empty?", usage_line(command));
}

std::optional<std::string> Args::get(const std::string& flag) const {
  auto it = values_.find(flag);
  if (it == values_.end()) return std::nullopt;
  return it->second.back();
}

std::vector<std::string> Args::all(const std::string& flag) const {
  auto it = values_.find(flag);
  return it == values_.end() ? std::vector<std::string>{} : it->second;
}

int64_t Args::number(const std::string& flag, int64_t otherwise, int64_t low, int64_t high) const {
  std::optional<std::string> text = get(flag);
  if (!text) return otherwise;
  int64_t v = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), v);
  if (error != std::errc() || end != text->data() + text->size() || v < low || v > high)
    throw Error(ErrorKind::usage, flag,
                "'" + *text + "' is not a whole number " +
                    (high == INT64_MAX ? "of at least " + std::to_string(low)
                                       : "from " + std::to_string(low) + " to " + std::to_string(high)));
  return v;
}

uint64_t Args::bytes(const std::string& flag, uint64_t otherwise) const {
  std::optional<std::string> text = get(flag);
  if (!text) return otherwise;
  uint64_t v = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), v);
  std::string suffix(text->substr(static_cast<size_t>(end - text->data())));
  int shift = suffix.empty() ? 0
            : suffix == "k" || suffix == "K" ? 10
            : suffix == "M" || suffix == "m" ? 20
            : suffix == "G" || suffix == "g" ? 30 : -1;
  if (error != std::errc() || shift < 0 || v > (uint64_t{1} << 62 >> shift))
    throw Error(ErrorKind::usage, flag, "'" + *text + "' is not a size", "write bytes, or a whole number with k, M or G: " + flag + " 2G");
  return v << shift;
}

std::string Args::choice(const std::string& flag, const std::string& otherwise, const std::vector<std::string>& choices) const {
  std::string v = text(flag, otherwise);
  if (std::find(choices.begin(), choices.end(), v) != choices.end()) return v;
  std::string list;
  for (const std::string& c : choices) list += (list.empty() ? "" : ", ") + c;
  throw Error(ErrorKind::usage, flag, "'" + v + "' is not one of " + list);
}

const Command* find_command(const std::string& name) {
  for (const Command& c : commands())
    if (name == c.name) return &c;
  return nullptr;
}

int print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw Error(ErrorKind::io, "<stdout>", std::string("writing failed: ") + std::strerror(errno));
  return kDone;
}

std::string help_text(const Command& c) {
  std::string out = usage_line(c) + "\n\n" + c.summary + "\n\noptions:\n";
  for (const std::vector<Flag>* list : {&c.flags, &common_flags()})
    for (const Flag& f : *list) out += "  " + padded(std::string(f.name) + (f.value ? std::string(" ") + f.value : ""), 29) + f.help + "\n";
  return out + "\nexample:\n  " + c.example + "\n";
}

std::string overview_text() {
  std::string out = "ibid runs an LLM call as a pipeline step, and can run it again next year with the same bytes coming out.\n\n"
                    "usage: ibid COMMAND ...\n\n";
  for (const Command& c : commands()) {
    std::string summary = c.summary;
    out += "  " + padded(c.name, 13) + summary.substr(0, summary.find('\n')) + "\n";
  }
  return out + "\nibid COMMAND --help says more; ibid --version prints the version (with --verbose: compiler, flags, machine).\n";
}

void note(const std::string& message) { if (!g_log.quiet) put_line("info", message); }
void detail(const std::string& message) { if (g_log.verbose && !g_log.quiet) put_line("info", message); }
void warn(const std::string& message) { if (!g_log.quiet) put_line("warning", message); }

// A ManifestError's text is complete as it stands: several problems, each with its place and hint.
void print_error(const Error& error) { put_line("error", error.what(), error.hint, error.where); }

void set_last_words(const std::string& message) { g_last_words = kept_line(line_of("error", message)); }

std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]), next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool late = c == 0xC2 && next >= 0x80 && next < 0xA0;        // C1, which some terminals obey
    if (late || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) out += "\xEF\xBF\xBD";
    else out += text[i];
    i += late;
  }
  return out;
}

void set_log(const LogOptions& options) {
  g_log = options;
  set_last_words(Interrupted{0}.message);
  g_bus_words = kept_line(line_of("error", "a file that was being read became shorter, or its disk failed (SIGBUS)",
                                  "was the model written over? put the pinned model back and run again"));
}

bool stderr_takes() {
  pollfd p{STDERR_FILENO, POLLOUT, 0};
  return ::poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

Progress::Progress(std::optional<uint64_t> total_records)
    : total_(total_records), redraws_(stderr_is_terminal() && g_log.format == LogFormat::text), start_(monotonic_seconds()),
      last_(start_) {}

void Progress::update(uint64_t records, uint64_t tokens) {
  double t = monotonic_seconds();
  if (g_log.quiet || t - last_ < (redraws_ ? 0.2 : 30.0)) return;
  last_ = t;
  char line[160];
  double elapsed = t - start_;
  int n = std::snprintf(line, sizeof line, "%llu%s records, %.0f tokens/s", static_cast<unsigned long long>(records),
                        total_ ? ("/" + std::to_string(*total_)).c_str() : "", static_cast<double>(tokens) / elapsed);
  if (total_ && records > 0 && records <= *total_ && n > 0) {         // a file may grow while it is read
    auto left = static_cast<long>(elapsed / static_cast<double>(records) * static_cast<double>(*total_ - records));
    std::snprintf(line + n, sizeof line - static_cast<size_t>(n), ", %ld:%02ld left", left / 60, left % 60);
  }
  if (!redraws_) return put_line("info", line);
  erase_progress();
  std::fprintf(stderr, "ibid: %s", line);
  std::fflush(stderr);
  g_redrawn = 1;
}

Progress::~Progress() { erase_progress(); }

void catch_signals() {
  struct sigaction action{};
  action.sa_handler = [](int s) {
    g_signal = s;
    alarm(kPatienceSeconds);
    if (s == SIGXCPU) signal(s, SIG_IGN);              // it comes again with every second of CPU time, and means no more than the first
  };
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESETHAND;                      // a second signal ends the process at once
  for (int s : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU}) {
    struct sigaction before{};
    sigaction(s, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(s, &action, nullptr);   // nohup, and a shell's background jobs, mean it
  }
  action.sa_handler = [](int s) { die_in_handler(g_signal != 0 ? g_signal : s, g_last_words); };   // ours, or somebody's time limit
  sigaction(SIGALRM, &action, nullptr);
  action.sa_flags = 0;                                 // threads may meet the gap together: the first one speaks, and ends all
  action.sa_handler = [](int s) {
    static std::atomic_flag taken;
    if (taken.test_and_set()) for (;;) pause();
    die_in_handler(s, g_bus_words);
  };
  sigaction(SIGBUS, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);                            // a closed pipe is an I/O error with a message, exit 74
  signal(SIGXFSZ, SIG_IGN);                            // and so is a limit on the size of files
}

std::optional<Interrupted> interrupted() { return g_signal != 0 ? std::optional(Interrupted{static_cast<int>(g_signal)}) : std::nullopt; }

void stop_if_interrupted() {
  if (const std::optional<Interrupted> stop = interrupted()) throw *stop;
}

}  // namespace ibid::step
