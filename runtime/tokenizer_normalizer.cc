// See tokenizer_normalizer.h.
#include "runtime/tokenizer_normalizer.h"

#include "runtime/error.h"
#include "runtime/unicode.h"

namespace ibid::runtime::tokenize {
namespace {

std::string apply_step(const NormalizeStep& step, const std::string& text, size_t most) {
  switch (step.kind) {
    case NormalizeStep::Kind::nfc: return to_nfc(text);
    case NormalizeStep::Kind::nfd: return to_nfd(text);
    case NormalizeStep::Kind::prepend: return step.text + text;
    case NormalizeStep::Kind::replace: return replace_all(text, step.pattern, step.text, most);
  }
  return text;
}

}  // namespace

std::string replace_all(std::string_view text, std::string_view pattern, std::string_view with, size_t most) {
  std::string out;
  out.reserve(text.size());
  size_t done = 0;
  for (size_t i = text.find(pattern); i != std::string_view::npos && out.size() <= most; i = text.find(pattern, done)) {
    out.append(text, done, i - done);
    out += with;
    done = i + pattern.size();
  }
  out.append(text, done);
  return out;
}

std::string Normalizer::apply(std::string_view text) const {
  std::string out(text);
  if (out.empty()) return out;
  const size_t most = 16 * (text.size() + 257) - 1;
  for (const NormalizeStep& step : steps) {
    out = apply_step(step, out, most);
    if (out.size() > most)
      throw Error(ErrorKind::bad_data, "tokenizer",
                  "the normalizer makes " + std::to_string(text.size()) + " bytes of text more than sixteen times as long");
  }
  return out;
}

}  // namespace ibid::runtime::tokenize
