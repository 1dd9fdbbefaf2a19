// See run_input.h.
#include "step/run_input.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <utility>

#include "step/bytes.h"
#include "step/source_text.h"

namespace ibid::step {
namespace {

bool is_regular(const std::string& path) {
  struct stat s;
  return ::stat(path.c_str(), &s) == 0 && S_ISREG(s.st_mode);
}

std::string name_of_input(const std::string& path) { return path == "-" ? "stdin" : path; }

// An input that can be read only once, such as a pipe, spooled so that it can be read again.
Input kept(const std::string& path, const std::string& beside) {
  if (beside.empty())
    throw Error(ErrorKind::usage, "--shard", name_of_input(path) + " can be read only once, and there is no output beside which to keep it",
                "name the input's files, or an output with -o");
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

// The same input, with a note when its first bytes are those of a file that holds no text, such as a PDF.
// The reader of tables says so itself.
Input looked_at(Input input) {
  auto begun = std::make_shared<bool>(false);          // a shard opens its input twice
  return {input.name, [input, begun] {
            const ByteSource source = input.open();
            auto read = [input, begun, source, head = std::string()](char* to, size_t n) mutable {
              constexpr size_t kHead = 10;               // what packed_as looks at; a pipe may give less at once
              const size_t got = source(to, n);
              if (*begun) return got;
              head.append(to, std::min(got, kHead));
              if (head.size() < kHead && got > 0) return got;
              *begun = true;
              if (const std::string what = packed_as(head); !what.empty()) note(input.name + " is " + what + ": " + kPackedHint);
              return got;
            };
            return ByteSource(read, [source] { return source.quiet(); });
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
    sound = second_error == std::errc() && stop == end && shard.of >= 1 && shard.of <= kMaxShards && shard.index >= 1 &&
            shard.index <= shard.of;
  }
  if (!sound) throw Error(ErrorKind::usage, "--shard", "'" + *text + "' is not I/N with I from 1 to N", "for instance --shard 3/8");
  return shard;
}

// "lines 3 to 5 of x.csv", of a record of several lines.
std::string lines_of(const Record& record) {
  const size_t colon = record.where.rfind(':');
  const std::string first = record.where.substr(colon + 1);
  return "lines " + first + " to " + std::to_string(std::stoull(first) + record.lines - 1) + " of " + record.where.substr(0, colon);
}

// A stray quote makes one bad row of all rows up to the next quote, or of the rest, and nobody would miss them.
void refuse_swallowed(const Record& record) {
  if (record.lines == 1 || record.raw.empty()) return;
  throw Error(ErrorKind::bad_data, record.where, *record.problem + ": " + lines_of(record) + " would be one bad record",
              "close the quote, or double one that belongs to the text; input.quotes: none  reads a table in which quotes mean nothing");
}

// Files are records by their base names, and the second of one name is a bad record. Errors: bad_data, where that fails the step.
void require_names(const std::vector<std::string>& paths) {
  std::map<std::string, std::string> by_name;
  for (const std::string& path : paths) {
    auto [other, alone] = by_name.emplace(base_name(path), path);
    if (!alone)
      throw Error(ErrorKind::bad_data, path, "has the same name as " + other->second + ", and the name is the id of the record",
                  "give each file a name of its own, for instance by links: ln -s ../S1/report.txt S1.txt");
  }
}

void add_record(Sha256& digest, const Record& record) { digest.update(bytes_of(sha256(record_canonical(record)))); }

}  // namespace

Input named_input(const std::string& path) { return {name_of_input(path), [path] { return open_input(path); }}; }

std::string about_columns(const Record& record, std::string_view error, InputFormat format) {
  constexpr std::string_view kEnd = "' is undefined";
  constexpr size_t kListed = 20;
  if (!error.ends_with(kEnd)) return "";
  const size_t end = error.size() - kEnd.size(), quote = error.substr(0, end).rfind('\'');
  const std::string name(error.substr(quote + 1, end - quote - 1));
  std::vector<std::string_view> columns;
  for (const Field& field : record.fields) columns.push_back(field.name);
  std::string says = did_you_mean(name, columns);
  const std::string near = nearest(name, columns);
  const std::string kind = format == InputFormat::jsonl ? "field" : "column";
  if (!std::all_of(near.begin(), near.end(), is_word)) says = "no template can name the " + kind + " '" + near + "': rename it";
  if (kind == "column" && columns.size() == 1 && (near.empty() || near.find_first_of(";,|\t") != std::string::npos))
    says = one_column_hint(format);
  if (says.empty())
    for (size_t i = 0; i < columns.size() && i <= kListed; ++i)
      says.append(i == 0 ? "there are " : ", ").append(i < kListed ? columns[i] : "and others");
  return (kind == "column" ? "the input has no column '" : "the record has no field '") + name + "': " + says;
}

RunInput::RunInput(const Args& args, const Manifest& manifest, const std::string& spool_beside)
    : spec_(manifest.input), kept_(manifest.output.keep), missing_(kept_), shard_(shard_of(args)) {
  std::vector<std::string> paths(args.operands().begin() + 1, args.operands().end());
  if (paths.empty() && ::isatty(STDIN_FILENO)) note("reading records from the terminal: Ctrl-D ends them, or name an INPUT");
  if (paths.empty()) paths.push_back("-");
  if (spec_.format == InputFormat::files && manifest.on_error == OnError::fail) require_names(paths);
  bool again = true;                                   // every input can be read twice
  for (const std::string& path : paths) {
    // The reader comes to the last input when the others are answered: too late to say that it is not there.
    if (path != "-" && ::access(path.c_str(), R_OK) != 0) (void)open_input(path);
    bool regular = path != "-" && is_regular(path);
    again = again && regular;
    Input input = !shard_ || regular ? named_input(path) : kept(path, spool_beside);
    inputs_.push_back(is_table(spec_) ? std::move(input) : looked_at(std::move(input)));
    inputs_.back().may_wait = !shard_ && !regular;
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
    refuse_swallowed(record);
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
  refuse_swallowed(record);
  note_quote(record);
  look_for_kept(record);
  if (shard_) add_record(digest_, record);
  return true;
}

void RunInput::look_for_kept(const Record& record) {
  if (missing_.empty() || record.fields.empty()) return;
  std::erase_if(missing_, [&](const std::string& name) { return record.find(name) != nullptr; });
  if (fields_.empty())
    for (const Field& field : record.fields) fields_.push_back(field.name);
}

void RunInput::warn_of_kept() const {
  if (fields_.empty()) return;                         // no record could be read
  for (const std::string& name : missing_) {
    const std::string near = did_you_mean(name, {fields_.begin(), fields_.end()});
    warn("output.keep: no record has a field '" + name + "'" + (near.empty() ? "" : "; " + near));
  }
}

// In a tsv a quote at the start of a value is mostly a character like any other to whoever wrote it, and swallows rows. A csv has line
// breaks in quotes all the time.
void RunInput::note_quote(const Record& record) {
  if (noted_quote_ || record.lines == 1 || spec_.format != InputFormat::tsv) return;
  noted_quote_ = true;
  note("record " + record.id + " spans " + lines_of(record) +
       ": is a quote meant? a value that begins with one goes on to the next, unless the step says  input.quotes: none");
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
    throw Error(ErrorKind::io, "--shard", "the input changed while it was read: it has another digest than at the start",
                "run again when nothing writes to it any more");
}

}  // namespace ibid::step
