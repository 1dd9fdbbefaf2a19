// See records.h: csv and tsv, by RFC 4180.
//
//   row    = field *(SEP field) (LF / CRLF / end)
//   field  = quoted / plain
//   quoted = '"' *(any byte but '"' / '""') '"'
//   plain  = *(any byte but SEP and LF)        a quote inside, not in front, stands for itself; without quotes every field is plain
#include <algorithm>

#include "step/record_formats.h"

namespace ibid::step {
namespace {

// Puts what \t \n \r \\ stand for in their places. False when a backslash stands before something else.
bool unescape(std::string& field) {
  constexpr std::string_view kCodes = "tnr\\", kMeant = "\t\n\r\\";
  std::string out;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] != '\\') { out += field[i]; continue; }
    const size_t code = ++i < field.size() ? kCodes.find(field[i]) : std::string::npos;
    if (code == std::string::npos) return false;
    out += kMeant[code];
  }
  field = std::move(out);
  return true;
}

constexpr size_t kMaxFields = size_t{1} << 20;           // of a row that are kept apart: a record's bytes may all be separators

struct Row {
  std::vector<std::string> fields;                     // the last holds whatever is beyond kMaxFields, separators too
  size_t count = 1;                                    // of all fields
  std::string raw;                                     // the row's bytes without its line end
  std::string problem;                                 // "" when the grammar holds
  bool bare_return = false;                            // a CR outside quotes that is in no CRLF
};

class Delimited : public RecordFormat {
 public:
  Delimited(std::vector<Input> inputs, const InputSpec& spec, std::vector<std::string> kept)
      : RecordFormat(std::move(inputs)), separator_(spec.format == InputFormat::csv ? ',' : '\t'),
        escapes_(spec.escapes == Escapes::backslash), quotes_(spec.quotes == Quotes::rfc4180), id_column_(spec.id), kept_(std::move(kept)) {
    for (char c : {separator_, '"', '\r', '\n'}) stops_[static_cast<unsigned char>(c)] = true;
  }

  bool next(Record& record) override {
    bool opened = false;
    while (ByteReader* in = inputs_.current(&opened)) {
      if (opened) read_header(*in);
      record.where = in->where();
      Row row;
      if (!read_row(*in, row)) { inputs_.close(); continue; }
      if (row.raw.empty() && header_.size() > 1) continue;
      // an open field takes the line ends behind it
      const std::string_view text = std::string_view(row.raw).substr(0, row.raw.find_last_not_of("\r\n") + 1);
      record.lines += static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
      to_record(row, record);
      return true;
    }
    return false;
  }

 private:
  // A line's end outside quotes.
  bool holds_record(std::string_view ready) const override {
    bool quoted = false, may_open = true;                // a quote opens at a field's start, and doubled behind the one that closes
    for (size_t at = header_.size() > 1 ? ready.find_first_not_of("\r\n") : 0; at < ready.size(); ++at) {
      const char c = ready[at];
      if (c == '\n' && !quoted) return true;
      const bool quote = quotes_ && c == '"' && (quoted || may_open);
      may_open = (quote && quoted) || (!quoted && c == separator_);
      quoted ^= quote;
    }
    return false;
  }

  enum class At { field_start, plain, quoted, quote_in_quoted, lost };

  bool read_row(ByteReader& in, Row& row) const {
    if (in.peek() < 0) return false;
    const std::string start = in.where();
    At at = At::field_start;
    row.fields.emplace_back();
    for (int c = in.get(); c >= 0; c = in.get()) {
      if (c == '\n' && at != At::quoted) break;
      row.raw += static_cast<char>(c);
      check_size(row.raw.size(), start);
      at = step(at, static_cast<char>(c), in.peek(), row);
      if (at != At::plain && at != At::quoted) continue;
      const std::string_view run = in.take_until(stops_);  // bytes that stand for themselves in either
      row.raw += run;
      row.fields.back() += run;
    }
    if (at == At::quoted) row.problem = "a quoted field is not closed";
    if (!row.raw.empty() && row.raw.back() == '\r') {
      row.raw.pop_back();
      if (at == At::plain) row.fields.back().pop_back();   // only the CR of CRLF can have got into a plain field's end
    }
    if (escapes_ && row.problem.empty() && !std::all_of(row.fields.begin(), row.fields.end(), unescape))
      row.problem = "a backslash before something else than t, n, r or a backslash";
    return true;
  }

  void add_field(Row& row) const {
    if (++row.count <= kMaxFields) row.fields.emplace_back();
    else row.fields.back() += separator_;
  }

  // One byte of the row; returns where it leaves us. following: the next byte, -1 at the end.
  At step(At at, char c, int following, Row& row) const {
    const bool line_end = c == '\r' && (following == '\n' || following < 0);
    row.bare_return = row.bare_return || (c == '\r' && !line_end && at != At::quoted);
    switch (at) {
      case At::quoted:
        if (c == '"') return At::quote_in_quoted;
        row.fields.back() += c;
        return At::quoted;
      case At::quote_in_quoted:
        if (c == '"') { row.fields.back() += '"'; return At::quoted; }
        if (c == separator_) { add_field(row); return At::field_start; }
        if (line_end) return At::quote_in_quoted;
        row.problem = "text follows a closing quote";
        return At::lost;
      case At::lost:
        return At::lost;
      case At::field_start:
        if (c == '"' && quotes_) return At::quoted;
        [[fallthrough]];
      case At::plain:
        if (c == separator_) { add_field(row); return At::field_start; }
        row.fields.back() += c;
        return At::plain;
    }
    IBID_CHECK(!"unknown state");
  }

  void read_header(ByteReader& in) {
    const std::string where = in.where();
    Row row;
    if (!read_row(in, row))
      throw Error(ErrorKind::bad_data, where, "empty, without even a header row", "did what should have written it fail?");
    if (row.raw.empty()) throw Error(ErrorKind::bad_data, where, "no header row", "the first row names the columns");
    if (const std::string what = packed_as(row.raw); !what.empty())
      throw Error(ErrorKind::bad_data, where, "is " + what + ", not a table", kPackedHint);
    if (row.bare_return && in.peek() < 0)              // the whole file is the header
      throw Error(ErrorKind::bad_data, where, "a carriage return inside the header row",
                  "do its lines end in CR alone?  tr '\\r' '\\n' <OLD >NEW  converts them");
    if (row.problem.empty() && !is_utf8(row.raw)) row.problem = kNotUtf8;
    if (!row.problem.empty())
      throw Error(ErrorKind::bad_data, where, "bad header row: " + row.problem, is_utf8(row.raw) ? "" : kEncodingHint);
    if (row.count > kMaxFields)
      throw Error(ErrorKind::bad_data, where, std::to_string(row.count) + " columns; at most " + std::to_string(kMaxFields),
                  "is this the right file?");
    if (!header_.empty()) {
      if (row.fields == header_) return;
      throw Error(ErrorKind::bad_data, where, "the header differs from that of " + first_name_,
          "several inputs are one input: give them the same columns");
    }
    std::vector<std::string> sorted = row.fields;
    std::sort(sorted.begin(), sorted.end());
    auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (sorted[0].empty()) throw Error(ErrorKind::bad_data, where, "a column has no name", "name every column in the header row");
    if (twice != sorted.end())
      throw Error(ErrorKind::bad_data, where, "two columns are called '" + *twice + "'", "give each column its own name");
    auto require = [&](const std::string& column, const char* key) {
      if (std::binary_search(sorted.begin(), sorted.end(), column)) return;
      throw Error(ErrorKind::bad_data, where, "no column '" + column + "', which " + key + " names", no_column_hint(column, row.fields));
    };
    if (!id_column_.empty()) require(id_column_, "input.id");
    for (const std::string& column : kept_) require(column, "output.keep");
    header_ = std::move(row.fields);
    first_name_ = in.name();
  }

  std::string no_column_hint(const std::string& column, const std::vector<std::string>& columns) const {
    if (columns.size() == 1) return one_column_hint(separator_ == '\t' ? InputFormat::tsv : InputFormat::csv);
    std::string near = did_you_mean(column, {columns.begin(), columns.end()});
    return near.empty() ? "the first row names the columns: does the input have a header?" : near;
  }

  void to_record(Row& row, Record& record) const {
    if (row.problem.empty() && !is_utf8(row.raw)) row.problem = kNotUtf8;
    if (row.problem.empty() && row.count != header_.size())
      // Not how many the header has: that is in no id where no row is sound, and this text is part of a result.
      row.problem = std::to_string(row.count) + (row.count == 1 ? " field" : " fields") + " where the header has another number";
    if (!row.problem.empty()) return spoil(record, row.problem, row.raw);
    for (size_t i = 0; i < header_.size(); ++i) record.fields.push_back({header_[i], std::move(row.fields[i])});
  }

  char separator_;
  bool escapes_, quotes_;
  std::array<bool, 256> stops_{};                      // bytes that may change the state in a field
  std::string id_column_;
  std::vector<std::string> kept_;
  std::vector<std::string> header_;                    // of the first input; all others agree
  std::string first_name_;
};

}  // namespace

std::unique_ptr<RecordFormat> make_delimited(std::vector<Input> inputs, const InputSpec& spec, std::vector<std::string> kept) {
  return std::make_unique<Delimited>(std::move(inputs), spec, std::move(kept));
}

}  // namespace ibid::step
