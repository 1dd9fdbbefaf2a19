// See run_input.h.
#include "step/run_input.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <memory>
#include <utility>

#include "step/digest.h"

namespace ibid::step {
namespace {

bool is_regular(const std::string& path) {
  struct stat s;
  return ::stat(path.c_str(), &s) == 0 && S_ISREG(s.st_mode);
}

std::string name_of_input(const std::string& path) { return path == "-" ? "stdin" : path; }

// The same bytes as often as they are asked for.
Input kept(const std::string& path, const std::string& beside) {
  if (beside.empty()) throw Error(ErrorKind::usage, "--shard", name_of_input(path) + " can be read only once, and there is no output beside which to keep it", "name the input's files, or an output with -o");
  auto spool = std::make_shared<SpoolFile>(beside);
  ByteSource source = open_input(path);
  std::vector<char> piece(1 << 16);
  for (size_t n; (n = source(piece.data(), piece.size())) > 0; stop_if_interrupted()) spool->append({piece.data(), n});
  return {name_of_input(path), [spool] {
            auto at = std::make_shared<uint64_t>(0);
            return [spool, at](char* to, size_t n) {
              size_t got = spool->read(*at, to, n);
              *at += got;
              return got;
            };
          }};
}

// The same, and a word when it begins like what no reader of text can use; a table says so itself.
Input looked_at(Input input) {
  auto begun = std::make_shared<bool>(false);          // a shard opens its input twice
  return {input.name, [input, begun] {
            return [input, begun, source = input.open()](char* to, size_t n) {
              const size_t got = source(to, n);
              const std::string what = std::exchange(*begun, true) ? "" : packed_as({to, got});
              if (!what.empty()) note(input.name + " is " + what + ": " + kPackedHint);
              return got;
            };
          }};
}

std::optional<ShardPart> shard_of(const Args& args) {
  std::optional<std::string> text = args.get("--shard");
  if (!text) return std::nullopt;
  ShardPart shard;
  const char *begin = text->data(), *end = begin + text->size();
  auto [slash, first_error] = std::from_chars(begin, end, shard.index);
  bool sound = first_error == std::errc() && slash != end && *slash == '/';
  if (sound) {
    auto [stop, second_error] = std::from_chars(slash + 1, end, shard.of);
    sound = second_error == std::errc() && stop == end && shard.of >= 1 && shard.of <= kMaxShards && shard.index >= 1 && shard.index <= shard.of;
  }
  if (!sound) throw Error(ErrorKind::usage, "--shard", "'" + *text + "' is not I/N with I from 1 to N", "for instance --shard 3/8");
  return shard;
}

void add_record(Sha256& digest, const Record& record) {
  Digest d = sha256(record_canonical(record));
  digest.update({reinterpret_cast<const char*>(d.data()), d.size()});
}

}  // namespace

Input named_input(const std::string& path) { return {name_of_input(path), [path] { return open_input(path); }}; }

RunInput::RunInput(const Args& args, const Manifest& manifest, const std::string& spool_beside)
    : spec_(manifest.input), kept_(manifest.output.keep), shard_(shard_of(args)) {
  std::vector<std::string> paths(args.operands().begin() + 1, args.operands().end());
  if (paths.empty() && ::isatty(STDIN_FILENO)) note("reading records from the terminal: Ctrl-D ends them, or name an INPUT");
  if (paths.empty()) paths.push_back("-");
  bool again = true;                                   // every input can be read twice
  for (const std::string& path : paths) {
    // The reader comes to the last input when the others are answered: too late to say that it is not there.
    if (path != "-" && ::access(path.c_str(), R_OK) != 0) (void)open_input(path);
    bool regular = is_regular(path);
    again = again && regular;
    Input input = !shard_ || regular ? named_input(path) : kept(path, spool_beside);
    inputs_.push_back(is_table(spec_) ? std::move(input) : looked_at(std::move(input)));
  }
  // Records in files are counted also when progress is to say when it will be done.
  if (shard_ || (again && stderr_is_terminal())) survey();
  reader_.emplace(spec_, inputs_, kept_);
}

void RunInput::survey() {
  RecordReader reader(spec_, inputs_, kept_);
  Sha256 digest;
  Record record;
  uint64_t records = 0;
  for (; reader.next(record); ++records) {
    if (shard_) add_record(digest, record);
    if (records % 1024 == 0) stop_if_interrupted();
  }
  expected_ = records;
  if (!shard_) return;
  shard_->input_records = records;
  shard_->input_digest = digest_text(digest.finish());
  expected_ = shard_->end() - shard_->first();
}

bool RunInput::read(Record& record) {
  if (!reader_->next(record)) return false;
  had_records_ = true;
  note_quote(record);
  if (shard_) add_record(digest_, record);
  return true;
}

// In a tsv a quote at the start of a value is mostly a character like any other to whoever wrote it, and swallows rows. A csv has line
// breaks in quotes all the time.
void RunInput::note_quote(const Record& record) {
  if (noted_quote_ || record.lines == 1 || spec_.format != InputFormat::tsv) return;
  noted_quote_ = true;
  const size_t colon = record.where.rfind(':');
  const std::string first = record.where.substr(colon + 1), last = std::to_string(std::stoull(first) + record.lines - 1);
  note("record " + record.id + " spans lines " + first + " to " + last + " of " + record.where.substr(0, colon) + ": is a quote meant? a value that begins with one goes on to the next");
}

bool RunInput::next(Record& record) {
  if (!shard_) return read(record);
  while (read(record)) {
    if (record.index % 1024 == 0) stop_if_interrupted();
    if (record.index >= shard_->end()) return false;
    if (record.index >= shard_->first()) return true;
  }
  return false;
}

void RunInput::finish() {
  if (!shard_) return;
  Record record;
  while (read(record))
    if (record.index % 1024 == 0) stop_if_interrupted();
  if (digest_text(digest_.finish()) != shard_->input_digest)
    throw Error(ErrorKind::io, "--shard", "the input changed while it was read: it has another digest than at the start", "run again when nothing writes to it any more");
}

}  // namespace ibid::step
