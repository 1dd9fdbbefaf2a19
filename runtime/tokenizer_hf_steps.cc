// Reads the steps around the model in tokenizer.json: normalizer, pre_tokenizer, post_processor, decoder. Every type, option and
// order that is not followed exactly is refused by name.
#include <algorithm>

#include "runtime/tokenizer_hf.h"
#include "runtime/unicode.h"

namespace ibid::runtime::tokenize {
namespace {

constexpr size_t kMaxSteps = 64;                 // of one kind; real files have a handful
constexpr int kMaxNesting = 8;                   // Sequence in Sequence
constexpr int kMaxPrefixes = 4;                  // steps that add to every piece: with a split behind each, pieces double so often

[[noreturn]] void refuse(const JsonPart& part) { part.fail("type \"" + part.type() + "\" is not supported"); }

// The literal of {"String": "..."}; {"Regex": "..."} is the caller's business.
std::string literal_pattern(const JsonPart& part) {
  JsonPart pattern = part.at("pattern");
  if (auto literal = pattern.find("String")) return literal->text_not_empty();
  if (auto regex = pattern.find("Regex")) pattern.fail("regular expression \"" + regex->text() + "\" is not supported");
  pattern.fail("neither \"String\" nor \"Regex\"");
}

std::string one_character(const JsonPart& part) {
  const std::string& text = part.text();
  if (text.empty() || utf8_at(text.data(), text.data() + text.size()).size != static_cast<int>(text.size()))
    part.fail("expected one character");
  return text;
}

void add_normalizer(const JsonPart& part, Normalizer& normalizer, int nesting) {
  if (nesting > kMaxNesting || normalizer.steps.size() >= kMaxSteps) part.fail("too many steps");
  using Kind = NormalizeStep::Kind;
  std::string type = part.type();
  if (type == "Sequence") {
    for (const JsonPart& item : part.at("normalizers").items()) add_normalizer(item, normalizer, nesting + 1);
  } else if (type == "NFC") {
    normalizer.steps.push_back({Kind::nfc, "", ""});
  } else if (type == "NFD") {
    normalizer.steps.push_back({Kind::nfd, "", ""});
  } else if (type == "Prepend") {
    normalizer.steps.push_back({Kind::prepend, part.at("prepend").text(), ""});
  } else if (type == "Replace") {
    normalizer.steps.push_back({Kind::replace, part.at("content").text(), literal_pattern(part)});
  } else {
    refuse(part);
  }
}

SplitStage read_split(const JsonPart& part) {
  JsonPart pattern = part.at("pattern");
  auto regex = pattern.find("Regex");
  if (!regex) pattern.fail("only regular expressions are supported in a Split");
  auto stage = stage_of_pattern(regex->text());
  if (!stage) pattern.fail("pattern \"" + regex->text() + "\" is not one that ibid knows");
  // The known patterns match all of any text, so that these two ways of saying "the matches are the pieces" are one.
  std::string behavior = part.at("behavior").text();
  bool invert = part.flag("invert", false);
  if (!(behavior == "Isolated" || (behavior == "Removed" && invert))) part.fail("behavior \"" + behavior + "\" is not supported");
  return *stage;
}

void add_metaspace(const JsonPart& part, Splitter& splitter) {
  std::string mark = one_character(part.at("replacement"));
  bool prefix_allowed = part.flag("add_prefix_space", true);
  auto scheme_part = part.find("prepend_scheme");
  std::string scheme = scheme_part ? scheme_part->text() : "always";
  if (scheme != "always" && scheme != "first" && scheme != "never") part.fail("prepend_scheme \"" + scheme + "\" is not supported");
  if (!prefix_allowed && scheme != "never") part.fail("add_prefix_space does not agree with prepend_scheme");

  SplitStage stage;
  stage.text = mark;
  stage.kind = SplitStage::Kind::metaspace;
  splitter.stages.push_back(stage);
  if (scheme != "never") {
    stage.kind = SplitStage::Kind::prefix;
    stage.where = scheme == "first" ? SplitStage::Where::start_of_text : SplitStage::Where::every_piece;
    splitter.stages.push_back(stage);
  }
  if (part.flag("split", true)) {
    stage.kind = SplitStage::Kind::before_mark;
    splitter.stages.push_back(stage);
  }
}

void add_byte_level(const JsonPart& part, Splitter& splitter) {
  SplitStage stage;
  if (part.flag("add_prefix_space", true)) {
    stage.kind = SplitStage::Kind::prefix;
    stage.text = " ";
    splitter.stages.push_back(stage);
  }
  if (part.flag("use_regex", true)) {
    stage.kind = SplitStage::Kind::gpt2;
    splitter.stages.push_back(stage);
  }
}

bool add_pre_tokenizer(const JsonPart& part, Splitter& splitter, int nesting) {
  if (nesting > kMaxNesting || splitter.stages.size() >= kMaxSteps) part.fail("too many steps");
  std::string type = part.type();
  if (type == "Sequence") {
    bool bytes = false;
    for (const JsonPart& item : part.at("pretokenizers").items()) {
      if (bytes) item.fail("a step behind ByteLevel is not supported");
      bytes = add_pre_tokenizer(item, splitter, nesting + 1);
    }
    return bytes;
  }
  if (type == "ByteLevel") {
    add_byte_level(part, splitter);
    return true;
  }
  if (type == "Split") {
    splitter.stages.push_back(read_split(part));
  } else if (type == "Digits") {
    SplitStage stage;
    stage.kind = part.flag("individual_digits", false) ? SplitStage::Kind::each_number : SplitStage::Kind::number_runs;
    splitter.stages.push_back(stage);
  } else if (type == "Metaspace") {
    add_metaspace(part, splitter);
  } else {
    refuse(part);
  }
  return false;
}

// Ids of one special token of a template, all of them in the vocabulary.
std::vector<int32_t> template_ids(const JsonPart& processor, const std::string& name, const Parts& parts) {
  JsonPart listed = processor.at("special_tokens").at(name);
  std::vector<int32_t> ids;
  for (const JsonPart& item : listed.at("ids").items()) {
    int64_t id = item.integer();
    if (id < 0 || id >= kMaxIds || !parts.texts.has(static_cast<int32_t>(id)))
      item.fail("token " + std::to_string(id) + " is not in the vocabulary");
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

void read_template(const JsonPart& part, Parts& parts) {
  std::vector<int32_t> before, behind;
  bool seen = false;
  for (const JsonPart& piece : part.at("single").items()) {
    if (auto special = piece.find("SpecialToken")) {
      std::vector<int32_t> ids = template_ids(part, special->at("id").text(), parts);
      std::vector<int32_t>& side = seen ? behind : before;
      side.insert(side.end(), ids.begin(), ids.end());
      if (side.size() > kMaxSteps) piece.fail("the template adds too many tokens");
    } else {
      if (piece.at("Sequence").at("id").text() != "A" || seen) piece.fail("a template of anything but one text is not supported");
      seen = true;
    }
  }
  if (!seen) part.at("single").fail("the template has no place for the text");
  parts.prefix.insert(parts.prefix.begin(), before.begin(), before.end());   // processors of a Sequence wrap one another
  parts.suffix.insert(parts.suffix.end(), behind.begin(), behind.end());
}

void add_post_processor(const JsonPart& part, Parts& parts, int nesting) {
  if (nesting > kMaxNesting || parts.prefix.size() + parts.suffix.size() >= kMaxSteps) part.fail("too many steps");
  std::string type = part.type();
  if (type == "Sequence") {
    for (const JsonPart& item : part.at("processors").items()) add_post_processor(item, parts, nesting + 1);
  } else if (type == "TemplateProcessing") {
    read_template(part, parts);
  } else if (type != "ByteLevel") {                                          // that one moves offsets only
    refuse(part);
  }
}

DecodeStep metaspace_step(const JsonPart& part) {
  DecodeStep step;
  step.kind = DecodeStep::Kind::metaspace;
  step.text = one_character(part.at("replacement"));
  auto scheme = part.find("prepend_scheme");
  step.drop_first = part.flag("add_prefix_space", true) && !(scheme && scheme->text() == "never");
  return step;
}

size_t count_of(const JsonPart& part) {
  int64_t n = part.integer();
  if (n < 0 || n > 1024) part.fail("expected 0 to 1024, found " + std::to_string(n));
  return static_cast<size_t>(n);
}

// What the chain has had so far; see tokenizer_decoder.h for the form that it must have.
struct ChainReader {
  Decoder& decoder;
  bool fused = false, whole_stripped = false;

  void add(const JsonPart& part, int nesting) {
    std::vector<DecodeStep>& steps = decoder.byte_fallback ? decoder.after : decoder.before;
    if (nesting > kMaxNesting || steps.size() >= kMaxSteps) part.fail("too many steps");
    std::string type = part.type();
    if (type == "Sequence") {
      for (const JsonPart& item : part.at("decoders").items()) add(item, nesting + 1);
    } else if (type == "Strip") {
      add_strip(part, steps);
    } else if (fused) {
      part.fail("a decoder of type \"" + type + "\" behind Fuse is not supported");
    } else if (type == "Fuse") {
      fused = true;
    } else if (type == "ByteFallback") {
      for (const DecodeStep& step : steps)
        if (step.kind == DecodeStep::Kind::metaspace) part.fail("ByteFallback behind Metaspace is not supported");
      if (decoder.byte_fallback) part.fail("ByteFallback stands here twice");
      decoder.byte_fallback = true;
    } else if (type == "Replace") {
      DecodeStep step;
      step.text = literal_pattern(part);
      step.with = part.at("content").text();
      if (step.with.size() > kMaxAddedBytes) part.at("content").fail("longer than " + std::to_string(kMaxAddedBytes) + " bytes");
      steps.push_back(step);
    } else if (type == "Metaspace") {
      steps.push_back(metaspace_step(part));
    } else {
      refuse(part);
    }
  }

  void add_strip(const JsonPart& part, std::vector<DecodeStep>& steps) {
    DecodeStep step;
    step.kind = DecodeStep::Kind::strip;
    step.text = one_character(part.at("content"));
    step.start = count_of(part.at("start"));
    step.stop = count_of(part.at("stop"));
    if (!fused) { steps.push_back(step); return; }
    if (step.stop || whole_stripped) part.fail("behind Fuse only one Strip, and only at the start, is supported");
    whole_stripped = true;
    decoder.strip_text = step.text;
    decoder.strip_start = step.start;
  }
};

bool is_byte_level(const JsonPart& part) {
  if (part.type() == "ByteLevel") return true;
  if (part.type() != "Sequence") return false;
  std::vector<JsonPart> items = part.at("decoders").items();
  return items.size() == 1 && items[0].type() == "ByteLevel";
}

}  // namespace

void read_normalizer(const JsonPart& part, Normalizer& normalizer) { add_normalizer(part, normalizer, 0); }
void read_post_processor(const JsonPart& part, Parts& parts) { add_post_processor(part, parts, 0); }

bool read_pre_tokenizer(const JsonPart& part, Splitter& splitter) {
  bool bytes = add_pre_tokenizer(part, splitter, 0);
  auto adds = [](const SplitStage& s) { return s.kind == SplitStage::Kind::prefix; };
  if (std::count_if(splitter.stages.begin(), splitter.stages.end(), adds) > kMaxPrefixes) part.fail("too many steps that add a prefix");
  return bytes;
}

void read_decoder(const JsonPart& part, Decoder& decoder) {
  if (is_byte_level(part)) { decoder.kind = Decoder::Kind::byte_level; return; }
  decoder.kind = Decoder::Kind::chain;
  ChainReader{decoder}.add(part, 0);
}

}  // namespace ibid::runtime::tokenize
