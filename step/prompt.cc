// See prompt.h.
#include "step/prompt.h"

#include <optional>

namespace ibid::step {
namespace {

// Stands where an assistant prefix ends while the chat template runs; control characters keep it apart from any real text.
constexpr std::string_view kContinueMark = "\x01ibid continues here\x01";

bool is_boundary(std::string_view text, size_t at) { return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80; }

// At most `length` bytes from the kept end of a text, whole code points only.
std::string_view piece(std::string_view text, Keep keep, size_t length) {
  if (keep == Keep::head) {
    while (!is_boundary(text, length)) --length;
    return text.substr(0, length);
  }
  size_t from = text.size() - length;
  while (!is_boundary(text, from)) ++from;
  return text.substr(from);
}

// The piece that truncation keeps. Token counts need not grow steadily with the text, so "the longest piece that fits" would
// depend on how one searches; this search is the definition: double the length from `tokens` bytes while the piece fits, then
// halve the interval down to one byte. REQUIRES: the whole text does not fit.
std::string_view cut(std::string_view text, const TruncateSpec& spec, const std::function<size_t(std::string_view)>& count_tokens) {
  const auto tokens = static_cast<size_t>(spec.tokens);
  auto fits = [&](size_t length) { return count_tokens(piece(text, spec.keep, length)) <= tokens; };
  size_t low = 0, high = tokens;
  while (high < text.size() && fits(high)) { low = high; high *= 2; }
  high = std::min(high, text.size());
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return piece(text, spec.keep, low);
}

std::string describe(const Error& e) { return (e.where.empty() ? "" : e.where + ": ") + e.what(); }

// What a template can do wrong is the record's fate; a broken invariant of ours is not.
template <typename Render>
bool rendered(Render render, std::string& error) {
  try {
    render();
    return true;
  } catch (const Error& e) {
    if (e.kind != ErrorKind::bad_data) throw;
    error = describe(e);
    return false;
  }
}

}  // namespace

struct PromptBuilder::Impl {
  struct Part { Role role; runtime::Template text; std::string name; };

  std::vector<Part> parts;                             // of a raw prompt: one, whose role means nothing
  bool raw = false;
  std::optional<runtime::Template> chat_template;
  std::string bos_token, eos_token, date;
  Json template_args;
  std::map<std::string, std::string> files;
  std::optional<TruncateSpec> truncate;
  bool refuses_special = false;
  TokenizerView tokenizer;

  bool apply_truncation(Json& variables, Prompt& prompt) const;
  bool allowed(const Part& part, const std::string& content, std::string& error) const;
  bool render_chat(Json::Array messages, Prompt& prompt) const;
};

PromptBuilder::PromptBuilder(const Manifest& manifest, const ChatSetup& chat, TokenizerView tokenizer) : impl_(std::make_unique<Impl>()) {
  const PromptSpec& spec = manifest.prompt;
  impl_->raw = spec.text.has_value();
  auto add = [this](Role role, const std::string& text, const std::string& name) {
    impl_->parts.push_back({role, runtime::Template(text, name, runtime::UndefinedIs::an_error), name});
  };
  if (impl_->raw) add(Role::user, *spec.text, "prompt.text");
  for (size_t i = 0; i < spec.messages.size(); ++i) {
    const Message& message = spec.messages[i];
    add(message.role, message.content, "prompt.messages[" + std::to_string(i) + "]." + name_of(message.role));
  }
  if (!impl_->raw) {
    if (chat.chat_template.empty())
      throw Error(ErrorKind::bad_data, "model", "the model has no chat template, and the prompt is made of messages",
          "write prompt.text, the raw prompt, instead of prompt.messages");
    impl_->chat_template.emplace(chat.chat_template, "chat_template", runtime::UndefinedIs::empty);
  }
  impl_->bos_token = chat.bos_token;
  impl_->eos_token = chat.eos_token;
  impl_->date = spec.date;
  impl_->template_args = spec.template_args;
  for (const auto& [name, file] : spec.files) impl_->files.emplace(name, file.text);
  impl_->truncate = manifest.decoding.truncate;
  impl_->refuses_special = spec.special_tokens == SpecialTokens::refuse;
  impl_->tokenizer = std::move(tokenizer);
}

PromptBuilder::~PromptBuilder() = default;

bool PromptBuilder::wants_bos() const { return impl_->raw; }

// Cuts the field in place. False, with an error, when it is too long and is not text.
bool PromptBuilder::Impl::apply_truncation(Json& variables, Prompt& prompt) const {
  const Json* value = truncate ? variables.find(truncate->field) : nullptr;
  if (!value) return true;                             // a missing field is the template's complaint
  const std::string text = field_lexeme(*value);
  prompt.truncation = {false, text.size(), text.size()};
  if (tokenizer.count(text) <= static_cast<size_t>(truncate->tokens)) return true;
  if (!value->is_string()) {
    prompt.error = "the field '" + truncate->field + "' has more than " + std::to_string(truncate->tokens) + " tokens and is a JSON " +
                   value->kind_name() + ": only text can be cut";
    return false;
  }
  std::string kept(cut(text, *truncate, tokenizer.count));
  prompt.truncation = {true, kept.size(), text.size()};
  variables.set(truncate->field, std::move(kept));
  return true;
}

// False, with an error, when a message has a special token that it may not have.
bool PromptBuilder::Impl::allowed(const Part& part, const std::string& content, std::string& error) const {
  const std::string found = refuses_special ? tokenizer.find_special(content) : "";
  if (!found.empty()) error = part.name + ": the text contains the special token " + found;
  return found.empty();
}

// Errors as rendered() wants them.
bool PromptBuilder::Impl::render_chat(Json::Array messages, Prompt& prompt) const {
  const bool continues = parts.back().role == Role::assistant;
  if (continues) {
    Json& last = messages.back();
    last.set("content", last.at("content").as_string() + std::string(kContinueMark));
  }
  runtime::ChatPrompt chat;
  chat.messages = std::move(messages);
  chat.add_generation_prompt = !continues;
  chat.bos_token = bos_token;
  chat.eos_token = eos_token;
  chat.template_args = template_args;
  chat.date = date;
  if (!rendered([&] { prompt.text = runtime::render_chat(*chat_template, chat); }, prompt.error)) return false;
  if (!continues) return true;
  const size_t end = prompt.text.find(kContinueMark);
  if (end != std::string::npos && prompt.text.find(kContinueMark, end + 1) == std::string::npos) {
    prompt.text.resize(end);
    return true;
  }
  prompt.error = "the chat template does not render the last assistant message exactly once, so it cannot be continued";
  return false;
}

Prompt PromptBuilder::build(const Record& record) const {
  IBID_CHECK(!record.problem);
  Prompt prompt;
  runtime::RenderContext context;
  context.variables = record.variables();
  context.date = impl_->date;
  context.files = &impl_->files;
  bool ok = impl_->apply_truncation(context.variables, prompt);
  Json::Array messages;
  for (const Impl::Part& part : impl_->parts) {
    std::string content;
    ok = ok && rendered([&] { content = part.text.render(context); }, prompt.error) && impl_->allowed(part, content, prompt.error);
    if (impl_->raw) prompt.text = std::move(content);
    else messages.push_back(Json::Object{{"role", name_of(part.role)}, {"content", std::move(content)}});
  }
  if (ok && !impl_->raw) ok = impl_->render_chat(std::move(messages), prompt);
  if (!ok) prompt.text.clear();
  return prompt;
}

}  // namespace ibid::step
