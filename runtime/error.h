// How ibid says that the world is wrong (a file, a manifest, a model, a disk), and that we are (a broken invariant).
//
// 1. Everything a user can cause is thrown as Error and printed once, in step/main, as
//      ibid: error: WHERE: WHAT
//      ibid: hint: HINT
//    lower case, no full stop; WHAT may hold several lines (a source line and its caret).
// 2. IBID_CHECK is for our own bugs: it throws an Error that names condition, file and line; never compiled out.
// 3. A record that fails is not an Error: it is a status of that record (runtime/engine.h).
#pragma once
#include <cerrno>
#include <stdexcept>
#include <string>

namespace ibid {

enum class ErrorKind {
  usage,          // the command line is wrong                                   exit 2
  corrupt,        // a bundle does not verify                                    exit 4
  incomparable,   // weights absent, or another semantics version                exit 5
  bad_data,       // manifest, model or input data are wrong                     exit 65
  not_found,      // a named input does not exist, or may not be read            exit 66
  unavailable,    // no such device or instruction set here                      exit 69
  internal,       // a bug of ours                                               exit 70
  cannot_create,  // an output cannot be created                                 exit 73
  io,             // reading or writing failed                                   exit 74
  temporary,      // out of memory, device busy: may succeed later               exit 75
};

struct Error : std::runtime_error {
  Error(ErrorKind error_kind, std::string error_where, const std::string& what_went_wrong, std::string error_hint = "")
      : std::runtime_error(what_went_wrong), kind(error_kind), where(std::move(error_where)), hint(std::move(error_hint)) {}
  ErrorKind kind;
  std::string where;  // file, file:line:column, option or record; may be empty
  std::string hint;   // what to do next; may be empty
};

// The kind of a failure to open or map a file for reading, by its errno. not_found will be so again; io and temporary may pass.
inline ErrorKind unopened(int code) {
  if (code == ENOMEM) return ErrorKind::temporary;
  for (int lasting : {ENOENT, ENOTDIR, EACCES, EPERM, ELOOP, ENAMETOOLONG, ENXIO})
    if (code == lasting) return ErrorKind::not_found;
  return ErrorKind::io;
}

[[noreturn]] inline void check_failed(const char* condition, const char* file, int line) {
  throw Error(ErrorKind::internal, std::string(file) + ":" + std::to_string(line),
              std::string("broken invariant: ") + condition, "this is a bug in ibid; please report it with the command line");
}

}  // namespace ibid

#define IBID_CHECK(condition) ((condition) ? (void)0 : ::ibid::check_failed(#condition, __FILE__, __LINE__))
