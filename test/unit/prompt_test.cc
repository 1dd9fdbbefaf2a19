// From manifest and record to prompt text: messages, raw text, prefix, truncation, and failures as outcomes.
#include <algorithm>

#include "step/prompt.h"
#include "test/catch.h"

using namespace ibid;
using namespace ibid::step;

namespace {

const char* const kChatMl =
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

Manifest manifest(const std::string& prompt, const std::string& decoding = "{max_tokens: 9}") {
  return parse_manifest("ibid: 1\nmodel: {digest: sha256:" + std::string(64, 'a') + "}\ninput: {format: jsonl}\nprompt:\n" + prompt +
                            "\ndecoding: " + decoding + "\n",
                        "step.yaml");
}

Record record(const std::string& json) {
  RecordReader reader({InputFormat::jsonl, ""}, {{"in", [json] { return text_source(json); }}});
  Record out;
  REQUIRE(reader.next(out));
  REQUIRE_FALSE(out.problem);
  return out;
}

// A toy tokenizer: one token per started run of three bytes, and <|im_end|>.
const PromptBuilder::TokenizerView thirds = {
    [](std::string_view text) { return (text.size() + 2) / 3; },
    [](std::string_view text) { return std::string(text.find("<|im_end|>") == text.npos ? "" : "<|im_end|>"); }};

Prompt build(const Manifest& m, const std::string& json, const std::string& chat_template = kChatMl) {
  return PromptBuilder(m, {chat_template, "<s>", "</s>"}, thirds).build(record(json));
}

}  // namespace

TEST_CASE("messages go through the step's templates and then the chat template") {
  const Manifest m = manifest("  messages:\n    - system: Be {{ mood }}.\n    - user: \"{{ q }}\"\n    - assistant: yes {{ q }}\n"
                              "    - user: \"{{ file('f') }}!\"\n  files: {f: {text: side}}");
  const Prompt p = build(m, "{\"mood\":\"brief\",\"q\":\"why?\"}");
  CHECK(p.error == "");
  CHECK(p.text ==
        "<s><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nwhy?<|im_end|>\n<|im_start|>assistant\nyes why?<|im_end|>\n"
        "<|im_start|>user\nside!<|im_end|>\n<|im_start|>assistant\n");
  CHECK_FALSE(p.truncation.cut);
  CHECK_FALSE(PromptBuilder(m, {kChatMl, "", ""}, thirds).wants_bos());
}

TEST_CASE("raw text needs no chat template") {
  const Manifest m = manifest("  text: \"{{ a }} -> \"");
  PromptBuilder builder(m, {}, thirds);
  CHECK(builder.build(record("{\"a\":\"x\"}")).text == "x -> ");
  CHECK(builder.build(record("{\"a\":1.50}")).error == "");
  CHECK(builder.wants_bos());
  CHECK_THROWS_AS(PromptBuilder(manifest("  messages: [{user: x}]"), {}, thirds), Error);
}

TEST_CASE("an assistant message at the end is continued") {
  const Manifest m = manifest("  messages:\n    - user: q\n    - assistant: \"The {{ a }} is \"");
  CHECK(build(m, "{\"a\":\"answer\"}").text == "<s><|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nThe answer is ");
  CHECK(build(m, "{\"a\":\"<|im_end|>\"}").text == "<s><|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nThe <|im_end|> is ");
  const Prompt lost = build(m, "{\"a\":\"x\"}", "{{ bos_token }}");
  CHECK(lost.text == "");
  CHECK(lost.error == "the chat template does not render the last assistant message exactly once, so it cannot be continued");
  const Prompt twice = build(m, "{\"a\":\"x\"}", "{{ messages[1].content }}{{ messages[1].content }}");
  CHECK(twice.text == "");
  CHECK(twice.error == lost.error);
}

TEST_CASE("what a template cannot do is the record's outcome") {
  const Manifest m = manifest("  messages:\n    - user: \"{{ absent }}\"");
  const Prompt p = build(m, "{\"a\":1}");
  CHECK(p.text == "");
  CHECK(p.error.find("prompt.messages[0].user") == 0);
  CHECK(p.error.find("absent") != std::string::npos);
  CHECK(build(m, "{\"absent\":1}").error == "");
}

TEST_CASE("truncation keeps whole code points and no more tokens than asked for") {
  auto cut = [](const std::string& keep, int tokens, const std::string& text) {
    const Manifest m = manifest("  text: \"{{ a }}\"",
                                "{max_tokens: 9, truncate: {field: a, keep: " + keep + ", tokens: " + std::to_string(tokens) + "}}");
    return PromptBuilder(m, {}, thirds).build(record("{\"a\":\"" + text + "\"}"));
  };
  const std::string alphabet = "abcdefghijklmnopqrstuvwxyz";
  CHECK(cut("head", 2, alphabet).text == "abcdef");
  CHECK(cut("tail", 2, alphabet).text == "uvwxyz");
  CHECK(cut("head", 8, alphabet).text == alphabet.substr(0, 24));
  CHECK(cut("head", 9, alphabet).text == alphabet);
  CHECK(cut("head", 1, "x").text == "x");
  CHECK(cut("head", 1, "").text == "");
  CHECK(cut("head", 1, "a\xF0\x9F\x98\x80").text == "a");
  CHECK(cut("tail", 1, "\xF0\x9F\x98\x80z").text == "z");
  CHECK(cut("head", 1, "\xF0\x9F\x98\x80").text == "");

  const Prompt p = cut("tail", 2, alphabet);
  CHECK((p.truncation.cut && p.truncation.kept_bytes == 6 && p.truncation.total_bytes == 26));
  const Prompt whole = cut("tail", 9, alphabet);
  CHECK((!whole.truncation.cut && whole.truncation.kept_bytes == 26 && whole.truncation.total_bytes == 26));

  const Manifest m = manifest("  text: \"{{ a }}\"", "{max_tokens: 9, truncate: {field: a, keep: head, tokens: 2}}");
  PromptBuilder builder(m, {}, thirds);
  CHECK(builder.build(record("{\"a\":[1,2]}")).error == "");
  CHECK(builder.build(record("{\"a\":[1,2,3,4]}")).error ==
        "the field 'a' has more than 2 tokens and is a JSON array: only text can be cut");
  CHECK(builder.build(record("{\"b\":1}")).error.find("prompt.text") == 0);
}

TEST_CASE("special tokens in a message are refused when the step says so, whoever wrote their parts") {
  const std::string prompt = "  messages:\n    - system: Be brief.\n    - user: \"{{ a }}{{ b }}\"\n";
  const std::string refusing = prompt + "  special_tokens: refuse";
  const char* const whole = "{\"a\":\"x<|im_end|>\",\"b\":\"\"}";
  const char* const halves = "{\"a\":\"<|im_\",\"b\":\"end|>\"}";
  for (const char* json : {whole, halves}) {
    CHECK(build(manifest(prompt), json).error == "");
    const Prompt p = build(manifest(refusing), json);
    CHECK(p.error == "prompt.messages[1].user: the text contains the special token <|im_end|>");
    CHECK(p.text == "");
  }
  CHECK(build(manifest(refusing), "{\"a\":\"<|im_\",\"b\":\"x\"}").error == "");
}
