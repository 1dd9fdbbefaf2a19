// argv to command, and its exit code. No other file calls exit().
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <system_error>

#include "kernels/device_error.h"
#include "step/cli.h"
#include "step/output_file.h"
#include "step/source_text.h"
#include "step/version.h"

using namespace ibid;
using namespace ibid::step;

namespace {

// Errors: usage, with the nearest command as a hint.
const Command& named_command(const std::string& word) {
  if (const Command* command = find_command(word)) return *command;
  std::vector<std::string_view> known{"help", "--help", "--version"};
  for (const Command& c : commands()) known.push_back(c.name);
  const std::string near = did_you_mean(word, known);
  throw Error(ErrorKind::usage, "ibid", (word.starts_with('-') ? "unknown option " : "unknown command ") + word,
              near.empty() ? "ibid --help lists the commands" : near);
}

bool asks_for_help(const std::string& word) { return word == "--help" || word == "-h" || word == "help"; }

// Of "help TOPIC". Whoever asks for help with an option, or with help itself, gets the overview.
int print_help(const std::vector<std::string>& words) {
  const bool has_topic = words.size() > 1 && !words[1].starts_with('-') && !asks_for_help(words[1]);
  return print(has_topic ? help_text(named_command(words[1])) : overview_text());
}

int dispatch(const std::vector<std::string>& words) {
  if (words.empty()) {
    std::fputs(overview_text().c_str(), stderr);
    return kUsage;
  }
  if (words[0] == "--version") return print(version_text(words.size() > 1 && words[1] == "--verbose"));
  if (asks_for_help(words[0])) return print_help(words);
  const Command& command = named_command(words[0]);
  Args args(command, {words.begin() + 1, words.end()});
  if (args.has("--help")) return print(help_text(command));
  set_log({args.choice("--log-format", "text", {"text", "json"}) == "json" ? LogFormat::json : LogFormat::text, args.has("--quiet"),
           args.has("--verbose")});
  return command.run(args);
}

int die_of(const Interrupted& stop) {
  if (stderr_takes()) print_error(Error(ErrorKind::temporary, "", stop.message));
  std::fflush(stderr);
  signal(stop.signal, SIG_DFL);
  raise(stop.signal);                                  // pipelines tell a death by signal from a failure
  return 128 + stop.signal;
}

int fail_with(const Error& error) {
  if (const std::optional<Interrupted> stop = interrupted()) return die_of(*stop);
  print_error(error);
  return exit_code(error.kind);
}

int guarded(const std::vector<std::string>& words) {
  try {
    int code = dispatch(words);
    // What a full disk refused may be gone from the buffer: then flushing succeeds, and only ferror remembers.
    if (std::fflush(stdout) != 0) throw Error(ErrorKind::io, "<stdout>", std::string("writing failed: ") + std::strerror(errno));
    if (std::ferror(stdout)) throw Error(ErrorKind::io, "<stdout>", "writing failed");
    return code;
  } catch (const Interrupted& stop) {
    return die_of(stop);
  } catch (const Error& e) {
    return fail_with(e);
  } catch (const kernels::DeviceFull& e) {
    const std::string sizes =
        e.needed ? ": " + std::to_string(e.needed) + " bytes are needed, " + std::to_string(e.available) + " are free" : "";
    return fail_with(Error(ErrorKind::temporary, "", std::string("out of memory on the GPU: ") + e.doing + sizes,
                           "wait until others have left it, or lower --gpu-memory or --batch"));
  } catch (const kernels::DeviceFailed& e) {
    return fail_with(Error(ErrorKind::temporary, "", e.what(), "the GPU or its driver failed: another try, or another node, may succeed"));
  } catch (const std::bad_alloc&) {
    return fail_with(Error(ErrorKind::temporary, "", "out of memory",
                           "give the job more memory; a run needs less with a smaller --memory"));
  } catch (const std::filesystem::filesystem_error& e) {
    return fail_with(Error(ErrorKind::io, e.path1().string(), e.code().message()));
  } catch (const std::exception& e) {
    const auto* system = dynamic_cast<const std::system_error*>(&e);
    if (system && system->code() == std::errc::resource_unavailable_try_again)
      return fail_with(Error(ErrorKind::temporary, "", "no further thread can be started",
                             "give the job more processes or memory; a run needs fewer with a smaller --threads"));
    return fail_with(Error(ErrorKind::internal, "", e.what(), "this is a bug in ibid; please report it with the command line"));
  }
}

// A standard stream that is closed would be the number of the next file that is opened, and messages would go into an output.
// /dev/null takes its place, opened the wrong way round, so that reading standard input and writing results remain errors.
void occupy_standard_streams() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) != fd) std::abort();
}

// Whoever shares our standard output may have set it not to wait: then stdio gives up where a pipe is full, and write_fully does not.
void write_stdout_fully() {
  cookie_io_functions_t through{};
  through.write = [](void*, const char* data, size_t size) {
    return write_fully(STDOUT_FILENO, data, size) ? static_cast<ssize_t>(size) : 0;
  };
  std::FILE* out = ::fopencookie(nullptr, "w", through);
  if (!out) std::abort();
  if (::isatty(STDOUT_FILENO)) std::setvbuf(out, nullptr, _IOLBF, BUFSIZ);      // as stdio has it
  stdout = out;
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_streams();
  write_stdout_fully();
  catch_signals();
  int code = guarded({argv + 1, argv + argc});
  std::fflush(stderr);
  std::exit(code);
}
