// See write_yaml in yaml_tree.h. Block style; a text is plain when nothing can misread it, a literal block when it has lines
// and is printable, else a JSON string, which YAML reads in double quotes.
#include "step/yaml_tree.h"

namespace ibid::step {
namespace {

bool is_plain_safe(std::string_view text) {
  if (text.empty() || text.size() > 200 || text.back() == ':') return false;
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!letter(text[0])) return false;
  for (char c : text)
    if (!letter(c) && !(c >= '0' && c <= '9') && std::string_view("_-./:").find(c) == std::string_view::npos) return false;
  for (std::string_view word : {"true", "True", "TRUE", "false", "False", "FALSE", "null", "Null", "NULL"})
    if (text == word) return false;
  return true;
}

// A literal block gives back exactly this text: it begins with something visible (so that indentation is found), its last
// line is visible, and it holds nothing that YAML would refuse unescaped.
bool is_literal_safe(std::string_view text) {
  if (text.find('\n') == std::string_view::npos) return false;
  std::string_view body = text.back() == '\n' ? text.substr(0, text.size() - 1) : text;
  if (body.empty() || body[0] == ' ' || body[0] == '\t' || body[0] == '\n') return false;
  std::string_view last = body.substr(body.rfind('\n') == std::string_view::npos ? 0 : body.rfind('\n') + 1);
  if (last.find_first_not_of(" \t") == std::string_view::npos) return false;
  for (char c : text)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7F) return false;
  return true;
}

void append_quoted(std::string& out, std::string_view text) {
  std::string json;
  append_json_string(json, text);
  for (char c : json) {
    if (c == 0x7F) out += "\\u007f";                   // JSON may hold it as it is, YAML may not
    else out += c;
  }
}

void append_text(std::string& out, std::string_view text, size_t indent) {
  if (is_plain_safe(text)) { out += text; return; }
  if (!is_literal_safe(text)) return append_quoted(out, text);
  out += text.back() == '\n' ? "|" : "|-";
  if (text.back() == '\n') text.remove_suffix(1);
  while (true) {
    const size_t end = text.find('\n');
    out += '\n';
    if (end != 0) out.append(indent, ' ').append(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

void append_value(std::string& out, const Json& value, size_t indent);

void append_entries(std::string& out, const Json& map, size_t indent, bool first_in_place) {
  for (const auto& [key, value] : map.members()) {
    if (!first_in_place) out.append(indent, ' ');
    first_in_place = false;
    if (is_plain_safe(key)) out += key;
    else append_quoted(out, key);
    out += ':';
    append_value(out, value, indent + 2);
  }
}

// What follows "key:" or "-", its line break included.
void append_value(std::string& out, const Json& value, size_t indent) {
  if (value.is_object() && !value.members().empty()) {
    out += '\n';
    append_entries(out, value, indent, false);
  } else if (value.is_array() && !value.items().empty()) {
    out += '\n';
    for (const Json& item : value.items()) {
      out.append(indent, ' ').append("-");
      if (item.is_object() && !item.members().empty()) {
        out += ' ';
        append_entries(out, item, indent + 2, true);
      } else {
        append_value(out, item, indent + 2);
      }
    }
  } else {
    out += ' ';
    if (value.is_string()) append_text(out, value.as_string(), indent);
    else out += value.dump();
    out += '\n';
  }
}

}  // namespace

std::string write_yaml(const Json& value) {
  std::string out;
  if (value.is_object() && !value.members().empty()) append_entries(out, value, 0, false);
  else append_value(out, value, 0);
  return out;
}

}  // namespace ibid::step
