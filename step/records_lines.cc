// See records.h: the formats that are read line by line (jsonl, text, fasta) and whole (files).
#include <algorithm>

#include "step/record_formats.h"

namespace ibid::step {
namespace {

class JsonLines : public RecordFormat {
 public:
  explicit JsonLines(std::vector<Input> inputs) : RecordFormat(std::move(inputs)) {}

  bool next(Record& record) override {
    while (ByteReader* in = inputs_.current()) {
      record.where = in->where();
      std::string line;
      if (!in->read_line(line)) { inputs_.close(); continue; }
      if (line.find_first_not_of(" \t") == std::string::npos) continue;
      parse(line, record);
      return true;
    }
    return false;
  }

 private:
  bool holds_record(std::string_view ready) const override { return ends_behind_blanks(ready, "\n"); }

  static void parse(const std::string& line, Record& record) {
    if (!is_utf8(line)) return spoil(record, kNotUtf8, line);
    try {
      Json value = Json::parse(line, "");
      if (!value.is_object()) return spoil(record, std::string("a JSON ") + value.kind_name() + " and not an object", line);
      for (auto& [name, member] : value.members()) record.fields.push_back({std::move(name), std::move(member)});
    } catch (const Error& e) {
      // where is ":1:COLUMN"; the line number would tell how the input was cut into files, the column does not.
      spoil(record, std::string(e.what()) + " (column " + e.where.substr(e.where.rfind(':') + 1) + ")", line);
    }
  }
};

class TextLines : public RecordFormat {
 public:
  explicit TextLines(std::vector<Input> inputs) : RecordFormat(std::move(inputs)) {}

  bool next(Record& record) override {
    while (ByteReader* in = inputs_.current()) {
      record.where = in->where();
      std::string line;
      if (!in->read_line(line)) { inputs_.close(); continue; }
      if (is_utf8(line)) record.fields.push_back({"text", std::move(line)});
      else spoil(record, kNotUtf8, line);
      return true;
    }
    return false;
  }

 private:
  bool holds_record(std::string_view ready) const override { return ready.find('\n') != std::string_view::npos; }
};

class Fasta : public RecordFormat {
 public:
  explicit Fasta(std::vector<Input> inputs) : RecordFormat(std::move(inputs)) {}

  bool next(Record& record) override {
    while (ByteReader* in = inputs_.current()) {
      record.where = in->where();
      std::string line;
      if (!in->read_line(line)) { inputs_.close(); continue; }
      trim(line);
      if (line.empty()) continue;
      read_record(*in, line, record);
      return true;
    }
    return false;
  }

 private:
  bool holds_record(std::string_view ready) const override { return ends_behind_blanks(ready, "\n>"); }

  static void trim(std::string& line) {
    const size_t end = line.find_last_not_of(" \t");
    line.resize(end == std::string::npos ? 0 : end + 1);
  }

  // `header` is the record's first line; what follows up to the next '>' belongs to it.
  static void read_record(ByteReader& in, const std::string& header, Record& record) {
    std::string raw = header, sequence, problem;
    if (header[0] != '>') problem = "sequence without a '>' line before it";
    while (in.peek() >= 0 && in.peek() != '>') {
      std::string line;
      in.read_line(line);
      trim(line);
      raw.append("\n").append(line);
      check_size(raw.size(), record.where);
      sequence += line;
    }
    const size_t bad = first_unprintable(sequence);
    if (problem.empty() && bad < sequence.size())
      problem = "the sequence holds white space or a character that is not printable ASCII, at letter " + std::to_string(bad + 1);
    if (problem.empty() && !is_utf8(header)) problem = kNotUtf8;
    const size_t id_end = std::min(header.find_first_of(" \t"), header.size());
    if (problem.empty() && id_end <= 1) problem = "no id after '>'";
    if (!problem.empty()) return spoil(record, problem, raw);
    const size_t description = header.find_first_not_of(" \t", id_end);
    record.fields.push_back({"id", header.substr(1, id_end - 1)});
    record.fields.push_back({"description", description == std::string::npos ? "" : header.substr(description)});
    record.fields.push_back({"sequence", std::move(sequence)});
  }

  static size_t first_unprintable(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i)
      if (text[i] <= ' ' || text[i] >= 0x7F) return i;   // char may be signed: bytes from 0x80 are caught either way
    return text.size();
  }
};

class WholeFiles : public RecordFormat {
 public:
  explicit WholeFiles(std::vector<Input> inputs) : RecordFormat(std::move(inputs)) {}

  bool next(Record& record) override {
    ByteReader* in = inputs_.current();
    if (!in) return false;
    record.where = in->name();
    const std::string name = in->name().substr(in->name().rfind('/') + 1);
    std::string text;
    for (int c = in->get(); c >= 0; c = in->get()) {
      text += static_cast<char>(c);
      check_size(text.size(), in->name());
    }
    inputs_.close();
    if (!is_utf8(text) || !is_utf8(name)) { spoil(record, kNotUtf8, name + "\n" + text); return true; }
    record.fields.push_back({"name", name});
    record.fields.push_back({"text", std::move(text)});
    return true;
  }

 private:
  // A file is read to its end, however long that takes.
  bool holds_record(std::string_view) const override { return true; }
};

}  // namespace

std::unique_ptr<RecordFormat> make_jsonl(std::vector<Input> inputs) { return std::make_unique<JsonLines>(std::move(inputs)); }
std::unique_ptr<RecordFormat> make_text(std::vector<Input> inputs) { return std::make_unique<TextLines>(std::move(inputs)); }
std::unique_ptr<RecordFormat> make_fasta(std::vector<Input> inputs) { return std::make_unique<Fasta>(std::move(inputs)); }
std::unique_ptr<RecordFormat> make_files(std::vector<Input> inputs) { return std::make_unique<WholeFiles>(std::move(inputs)); }

}  // namespace ibid::step
