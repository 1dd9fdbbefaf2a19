// See comparison.h.
#include "step/comparison.h"

#include <algorithm>

namespace ibid::step {
namespace {

// bytes: of a text that is shown whole; of a longer one, around where it differs
constexpr size_t kWhole = 100, kBefore = 40, kShown = 100;

size_t boundary_before(std::string_view text, size_t at) {
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return std::min(at, text.size());
}

std::string excerpt(std::string_view text, size_t from) {
  const size_t end = boundary_before(text, from + kShown);
  return (from > 0 ? "..." : "") + Json(std::string(text.substr(from, end - from))).dump() + (end < text.size() ? "..." : "");
}

// "NAME: left -> right"; of long texts the place where they part, which may be far behind what a line holds.
std::string change(const std::string& name, std::string_view left, std::string_view right) {
  if (std::max(left.size(), right.size()) <= kWhole)
    return name + ": " + Json(std::string(left)).dump() + " -> " + Json(std::string(right)).dump();
  const size_t at = static_cast<size_t>(std::mismatch(left.begin(), left.end(), right.begin(), right.end()).first - left.begin());
  const size_t from = boundary_before(left, at > kBefore ? at - kBefore : 0);
  return name + ", byte " + std::to_string(at + 1) + ": " + excerpt(left, from) + " -> " + excerpt(right, from);
}

std::string token_at(const Json& answer, size_t i, const TokenText& token_text) {
  const Json::Array& ids = answer.at("ids").items();
  if (i >= ids.size()) return "the end of the answer";
  auto id = static_cast<int32_t>(ids[i].as_int());
  std::string text = token_text(id), out = std::to_string(id);
  if (!text.empty()) out += " " + Json(text).dump();
  return out + " (margin " + answer.at("margins").items()[i].lexeme() + ")";
}

std::string answer_difference(const Json& left, const Json& right, const std::string& left_name, const std::string& right_name,
                              const TokenText& token_text) {
  const Json::Array &a = left.at("ids").items(), &b = right.at("ids").items();
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    if (i < a.size() && i < b.size() && a[i].lexeme() == b[i].lexeme()) continue;
    const std::string &before = left.at("text").as_string(), &after = right.at("text").as_string();
    return "token " + std::to_string(i + 1) + ": " + left_name + " " + token_at(left, i, token_text) + ", " + right_name + " " +
           token_at(right, i, token_text) + (before == after ? "" : "; " + change("text", before, after));
  }
  for (const auto& [key, value] : left.members()) {
    const Json* other = right.find(key);
    if (other && other->dump() == value.dump()) continue;
    if (other && value.is_array() && other->is_array())
      for (size_t i = 0; i < std::min(value.items().size(), other->items().size()); ++i)
        if (value.items()[i].dump() != other->items()[i].dump())
          return key + " of token " + std::to_string(i + 1) + ": " + left_name + " " + value.items()[i].dump() + ", " + right_name + " " +
                 other->items()[i].dump();
    return key + ": " + left_name + " " + value.dump() + ", " + right_name + " " + (other ? other->dump() : "(absent)");
  }
  return "the order or number of fields";
}

}  // namespace

std::string first_difference(const Json& left, const Json& right, const std::string& left_name, const std::string& right_name,
                             const TokenText& token_text) {
  const Json::Array &a = left.at("answers").items(), &b = right.at("answers").items();
  const size_t common = std::min(a.size(), b.size());
  size_t s = 0;
  while (s < common && shown_of(a[s]) == shown_of(b[s])) ++s;
  std::string out;
  if (a.size() != b.size())
    out = left_name + " has " + std::to_string(a.size()) + " answers, " + right_name + " " + std::to_string(b.size());
  else if (s == common)
    for (s = 0; s < common && a[s].dump() == b[s].dump();) ++s;
  if (s < common)
    out += (out.empty() ? "" : "; ") + ("answer " + std::to_string(s + 1) + ", ") +
           answer_difference(a[s], b[s], left_name, right_name, token_text);
  return out.empty() && left.dump() != right.dump() ? "the records' ids" : out;
}

std::string shown_of(const Json& answer) { return Json(Json::Array{answer.at("status"), answer.at("text")}).dump(); }

void list_differences(const Json& left, const Json& right, const std::string& path, const std::function<void(const std::string&)>& line) {
  if (left.is_object() && right.is_object()) {
    for (const auto& [key, value] : left.members()) {
      std::string at = path.empty() ? key : path + "." + key;
      if (const Json* other = right.find(key)) list_differences(value, *other, at, line);
      else line(at + ": " + value.dump() + " -> (absent)");
    }
    for (const auto& [key, value] : right.members())
      if (!left.find(key)) line((path.empty() ? key : path + "." + key) + ": (absent) -> " + value.dump());
    return;
  }
  if (left.is_array() && right.is_array() && left.items().size() == right.items().size()) {
    for (size_t i = 0; i < left.items().size(); ++i)
      list_differences(left.items()[i], right.items()[i], path + "[" + std::to_string(i) + "]", line);
    return;
  }
  if (left.dump() == right.dump()) return;
  line(left.is_string() && right.is_string() ? change(path, left.as_string(), right.as_string())
                                             : path + ": " + left.dump() + " -> " + right.dump());
}

namespace {

bool same_names(const Json::Array& a, const Json::Array& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Json& x, const Json& y) { return x.items()[0].as_string() == y.items()[0].as_string(); });
}

void list_fields(const Json& left, const Json& right, const std::function<void(const std::string&)>& line) {
  const Json::Array &a = left.items(), &b = right.items();
  if (!same_names(a, b)) return line("fields: " + left.dump() + " -> " + right.dump());
  for (size_t i = 0; i < a.size(); ++i) {
    const Json::Array &before = a[i].items(), &after = b[i].items();
    const std::string &kind = before[1].as_string(), &other_kind = after[1].as_string();
    std::string name = "field " + before[0].as_string();
    if (kind != other_kind) name += ", " + kind + " -> " + other_kind;
    if (kind != other_kind || before[2].as_string() != after[2].as_string())
      line(change(name, before[2].as_string(), after[2].as_string()));
  }
}

void list_tokens(const Json::Array& a, const Json::Array& b, const std::function<void(const std::string&)>& line) {
  size_t i = 0;
  while (i < std::min(a.size(), b.size()) && a[i].lexeme() == b[i].lexeme()) ++i;
  auto at = [i](const Json::Array& ids) { return i < ids.size() ? ids[i].lexeme() : "the end of the prompt"; };
  line("prompt token " + std::to_string(i + 1) + ": " + at(a) + " -> " + at(b));
}

}  // namespace

void list_record_differences(const Json& left, const Json& right, const std::function<void(const std::string&)>& line) {
  const Json &prompt = left.at("prompt"), &other = right.at("prompt"), &ids = left.at("prompt_ids"), &other_ids = right.at("prompt_ids");
  if (left.at("fields").dump() != right.at("fields").dump()) return list_fields(left.at("fields"), right.at("fields"), line);
  if (prompt.dump() != other.dump()) return list_differences(prompt, other, "prompt", line);
  if (ids.is_array() && other_ids.is_array() && ids.dump() != other_ids.dump()) return list_tokens(ids.items(), other_ids.items(), line);
  list_differences(left, right, "", line);
}

}  // namespace ibid::step
