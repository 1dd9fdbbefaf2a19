// See comparison.h.
#include "step/comparison.h"

#include <algorithm>

namespace ibid::step {
namespace {

std::string token_at(const Json& answer, size_t i, const TokenText& token_text) {
  const Json::Array& ids = answer.at("ids").items();
  if (i >= ids.size()) return "the end of the answer";
  auto id = static_cast<int32_t>(ids[i].as_int());
  std::string text = token_text(id), out = std::to_string(id);
  if (!text.empty()) out += " " + Json(text).dump();
  return out + " (margin " + answer.at("margins").items()[i].lexeme() + ")";
}

std::string answer_difference(const Json& left, const Json& right, const std::string& left_name, const std::string& right_name, const TokenText& token_text) {
  const Json::Array &a = left.at("ids").items(), &b = right.at("ids").items();
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    if (i < a.size() && i < b.size() && a[i].lexeme() == b[i].lexeme()) continue;
    return "token " + std::to_string(i + 1) + ": " + left_name + " " + token_at(left, i, token_text) + ", " + right_name + " " + token_at(right, i, token_text);
  }
  for (const auto& [key, value] : left.members()) {
    const Json* other = right.find(key);
    if (other && other->dump() == value.dump()) continue;
    if (other && value.is_array() && other->is_array())
      for (size_t i = 0; i < std::min(value.items().size(), other->items().size()); ++i)
        if (value.items()[i].dump() != other->items()[i].dump())
          return key + " of token " + std::to_string(i + 1) + ": " + left_name + " " + value.items()[i].dump() + ", " + right_name + " " + other->items()[i].dump();
    return key + ": " + left_name + " " + value.dump() + ", " + right_name + " " + (other ? other->dump() : "(absent)");
  }
  return "the order or number of fields";
}

}  // namespace

std::string first_difference(const Json& left, const Json& right, const std::string& left_name, const std::string& right_name, const TokenText& token_text) {
  const Json::Array &a = left.at("answers").items(), &b = right.at("answers").items();
  for (size_t s = 0; s < std::min(a.size(), b.size()); ++s)
    if (a[s].dump() != b[s].dump()) return "answer " + std::to_string(s + 1) + ", " + answer_difference(a[s], b[s], left_name, right_name, token_text);
  if (a.size() != b.size()) return left_name + " has " + std::to_string(a.size()) + " answers, " + right_name + " " + std::to_string(b.size());
  return left.dump() == right.dump() ? "" : "the records' ids";
}

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
    for (size_t i = 0; i < left.items().size(); ++i) list_differences(left.items()[i], right.items()[i], path + "[" + std::to_string(i) + "]", line);
    return;
  }
  if (left.dump() != right.dump()) line(path + ": " + left.dump() + " -> " + right.dump());
}

}  // namespace ibid::step
