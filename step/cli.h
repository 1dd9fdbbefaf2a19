// The command line: one table of commands and flags, from which parsing, help, the manual page and completions come;
// and the rules of stderr.
//
// 1. Results go to stdout or to the files that were named; everything else goes to stderr, prefixed "ibid: ".
// 2. Messages start in lower case and end without a full stop; an error says what, where, and what to do next.
// 3. Help that was asked for goes to stdout with exit 0; a usage error goes to stderr with exit 2.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/error.h"

namespace ibid::step {

// Exit codes. 1 is never used.
enum Exit : int {
  kDone = 0, kUsage = 2, kDiffers = 3, kCorrupt = 4, kIncomparable = 5, kBadData = 65, kNotFound = 66, kUnavailable = 69,
  kInternal = 70, kCannotCreate = 73, kIo = 74, kTemporary = 75
};
int exit_code(ErrorKind kind);
struct ExitCode { const char *code, *means; };         // "65", or "128+n"
const std::vector<ExitCode>& exit_codes();             // what the manual page says; README.md has the same codes

struct Flag {
  const char* name;                    // "--threads" or "-o"
  const char* value;                   // what follows it, "N"; null: a switch
  const char* help;
};

class Args;
struct Command {
  const char* name;
  const char* operands;                // "STEP.yaml [INPUT...]"
  int min_operands, max_operands;      // max -1: any number
  const char* summary;
  const char* example;
  std::vector<Flag> flags;
  int (*run)(const Args&);
};

// A parsed command line.
class Args {
 public:
  // Errors: usage, with the nearest flag as a hint.
  Args(const Command& command, const std::vector<std::string>& words);
  const std::vector<std::string>& operands() const { return operands_; }
  bool has(const std::string& flag) const { return values_.count(flag) != 0; }
  std::optional<std::string> get(const std::string& flag) const;       // the last one given
  std::vector<std::string> all(const std::string& flag) const;
  std::string text(const std::string& flag, const std::string& otherwise) const { return get(flag).value_or(otherwise); }
  // A whole number in [low, high], INT64_MAX being no limit; errors: usage.
  int64_t number(const std::string& flag, int64_t otherwise, int64_t low, int64_t high) const;
  // A number of bytes with an optional suffix k, M, G (powers of 1024).
  uint64_t bytes(const std::string& flag, uint64_t otherwise) const;
  // One of a list; errors: usage, naming the list.
  std::string choice(const std::string& flag, const std::string& otherwise, const std::vector<std::string>& choices) const;

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> operands_;
};

const std::vector<Command>& commands();
const Command* find_command(const std::string& name);
const std::vector<Flag>& common_flags();              // every command takes these
int print(const std::string& text);                    // to stdout; kDone, or errors: io
std::string help_text(const Command& command);
std::string overview_text();

// --- stderr ------------------------------------------------------------------------------------------------------------
enum class LogFormat { text, json };
struct LogOptions { LogFormat format = LogFormat::text; bool quiet = false, verbose = false; };
void set_log(const LogOptions& options);
void note(const std::string& message);                // unless --quiet
void detail(const std::string& message);              // with --verbose
void warn(const std::string& message);
void print_error(const Error& error);
// What may go to a terminal: control characters but line breaks and tabs become U+FFFD. Log lines are so already.
std::string printable(std::string_view text);
// What a signal handler writes before it ends the process. It can format nothing itself, so the line is made ahead; see below.
void set_last_words(const std::string& message);

// A line that is redrawn on a terminal, or written every 30 s where there is none and where lines are JSON.
class Progress {
 public:
  explicit Progress(std::optional<uint64_t> total_records);
  ~Progress();
  void update(uint64_t records, uint64_t tokens);     // cheap; draws when it is time
 private:
  std::optional<uint64_t> total_;
  bool redraws_;
  double start_, last_;
};
bool stderr_is_terminal();
bool stderr_takes();                                  // whether a line can be written at once: whoever is about to end waits for no reader

// --- signals: SIGINT, SIGTERM, SIGHUP, and SIGUSR1, SIGUSR2 and SIGXCPU (what Slurm, LSF and SGE send before the end of the time) ask the
// command to stop between steps of the engine; it then unwinds and dies by the signal. When a step takes longer than kPatienceSeconds,
// or a reader takes nothing from standard output for so long, the process removes its temporary files and dies at once: nothing is lost but
// the records in hand, since a journal is written answer by answer. Either way one line says what is kept, also with --quiet. A signal that
// was ignored when the process began stays ignored. SIGBUS (a mapped file became shorter) ends the process at once, in the same order.
constexpr unsigned kPatienceSeconds = 3;
void catch_signals();
struct Interrupted {
  int signal;
  std::string message = "interrupted";                 // a command that keeps something says so
};
std::optional<Interrupted> interrupted();             // whether a signal came: an error after it is often its doing
void stop_if_interrupted();                           // throws Interrupted

}  // namespace ibid::step
