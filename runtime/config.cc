// Owns: ModelConfig from config.json and from GGUF metadata, and the refusal of whatever ibid would compute differently.
// Must not know: files, tensors' bytes, kernels.
//
// 1. A field that changes the arithmetic is either implemented or refused by name; never skipped.
// 2. A missing field takes the reference implementation's default where that is harmless, else it is an error.
// 3. Every integer has a bound, so that sizes made from them cannot overflow 63 bits.
#include "runtime/config.h"

#include <algorithm>
#include <iterator>

#include "runtime/error.h"

namespace ibid::runtime {
namespace {

constexpr int64_t kMaxLayers = 4096, kMaxWidth = 1 << 20, kMaxHeads = 1 << 14, kMaxVocab = 1 << 24, kMaxPositions = 1 << 28;
constexpr int64_t kMaxHeadDim = 1024, kMaxHeadRows = 1 << 24;
constexpr const char* kHint = "ibid runs Llama, Mistral without a sliding window, Qwen2 and Qwen3 models";

// One JSON object and how its file calls its fields; null counts as absent, as the reference implementation has it.
class Fields {
 public:
  Fields(const Json& object, std::string where, std::string prefix = "")
      : object_(object), where_(std::move(where)), prefix_(std::move(prefix)) {}

  [[noreturn]] void fail(const std::string& key, const std::string& what) const {
    throw Error(ErrorKind::bad_data, where_, prefix_ + key + " " + what, kHint);
  }

  const Json* find(const std::string& key) const {
    const Json* found = object_.find(prefix_ + key);
    return found && !found->is_null() ? found : nullptr;
  }

  const Json& need(const std::string& key) const {
    const Json* found = find(key);
    if (!found) fail(key, "is missing");
    return *found;
  }

  int64_t integer_of(const std::string& key, const Json& value, int64_t min, int64_t max) const {
    int64_t v = 0;
    try {
      v = value.as_int();
    } catch (const Error&) {
      fail(key, "is not an integer: " + value.dump().substr(0, 40));
    }
    if (v < min || v > max)
      fail(key, "is " + std::to_string(v) + ", not within " + std::to_string(min) + " to " + std::to_string(max));
    return v;
  }

  int64_t integer(const std::string& key, int64_t min, int64_t max) const { return integer_of(key, need(key), min, max); }
  int64_t integer_or(const std::string& key, int64_t fallback, int64_t min, int64_t max) const {
    const Json* found = find(key);
    return found ? integer_of(key, *found, min, max) : fallback;
  }

  double number_of(const std::string& key, const Json& value) const {
    try {
      return value.as_double();
    } catch (const Error&) {
      fail(key, "is not a number: " + value.dump().substr(0, 40));
    }
  }

  // All of them must be above zero: no field of a model that ibid reads makes sense at zero or below.
  double positive(const std::string& key) const {
    const Json& value = need(key);
    const double v = number_of(key, value);
    if (!(v > 0)) fail(key, "is " + value.dump() + ", not above zero");
    return v;
  }
  double positive_or(const std::string& key, double fallback) const { return find(key) ? positive(key) : fallback; }

  bool flag_or(const std::string& key, bool fallback) const {
    const Json* found = find(key);
    if (!found) return fallback;
    if (!found->is_bool()) fail(key, "is neither true nor false: " + found->dump().substr(0, 40));
    return found->as_bool();
  }

  const std::string& text(const std::string& key) const {
    const Json& value = need(key);
    if (!value.is_string()) fail(key, "is not a string: " + value.dump().substr(0, 40));
    return value.as_string();
  }

  const Json& object() const { return object_; }
  const std::string& where() const { return where_; }

 private:
  const Json& object_;
  std::string where_, prefix_;
};

// A field that changes the arithmetic unless it is absent or has its neutral value (JSON text; null: only absence is neutral).
struct Neutral { const char* key; const char* value; };

constexpr Neutral kHuggingFaceNeutral[] = {
    {"hidden_act", "\"silu\""}, {"hidden_activation", "\"silu\""}, {"pretraining_tp", "1"}, {"quantization_config", "null"},
    {"compression_config", "null"}, {"partial_rotary_factor", "1"}, {"rotary_pct", "1"}, {"rope_interleaved", "false"},
    {"rotary_dim", "null"},
    {"embedding_multiplier", "1"}, {"attention_multiplier", "null"}, {"residual_multiplier", "1"}, {"logits_scaling", "1"},
    {"logit_scale", "1"}, {"scale_emb", "1"}, {"scale_depth", "null"}, {"dim_model_base", "null"}, {"query_pre_attn_scalar", "null"},
    {"attn_logit_softcapping", "null"}, {"final_logit_softcapping", "null"}, {"clip_qkv", "null"}, {"alibi", "false"},
    {"use_qk_norm", "false"}, {"qk_norm", "false"}, {"qk_layernorm", "false"}, {"num_experts", "0"}, {"num_local_experts", "0"},
    {"n_routed_experts", "0"}, {"no_rope_layers", "null"}, {"attention_chunk_size", "null"}, {"attention_sinks", "null"},
    {"is_encoder_decoder", "false"}, {"add_cross_attention", "false"}, {"use_sliding_window", "false"}, {"text_config", "null"},
    {"parallel_residual", "false"}, {"use_parallel_residual", "false"}, {"norm_type", "null"}, {"auto_map", "null"},
};

// GGUF keys under "ARCHITECTURE." are few and mostly arithmetic, so what is not known is refused. value null: read elsewhere or
// without effect here.
constexpr Neutral kGgufKnown[] = {
    {"block_count", nullptr}, {"context_length", nullptr}, {"embedding_length", nullptr}, {"feed_forward_length", nullptr},
    {"attention.head_count", nullptr}, {"attention.head_count_kv", nullptr}, {"attention.key_length", nullptr},
    {"attention.value_length", nullptr}, {"attention.layer_norm_rms_epsilon", nullptr}, {"attention.layer_norm_epsilon", nullptr},
    {"attention.sliding_window", nullptr}, {"rope.dimension_count", nullptr}, {"rope.freq_base", nullptr}, {"vocab_size", nullptr},
    {"tensor_data_layout", nullptr}, {"rope.scaling.original_context_length", nullptr}, {"rope.scaling.finetuned", nullptr},
    {"rope.scaling.type", "\"none\""}, {"rope.scaling.factor", "1"}, {"rope.scaling.attn_factor", "1"}, {"rope.scale_linear", "1"},
    {"expert_count", "0"}, {"expert_used_count", "0"}, {"attention.causal", "true"}, {"use_parallel_residual", "false"},
    {"logit_scale", "1"}, {"embedding_scale", "1"}, {"residual_scale", "1"},
};

// Refuses the field if it is there with another value. 1 and 1.0 are the same number here; all else is compared as text.
void check_neutral(const Fields& fields, const Neutral& n) {
  const Json* value = fields.find(n.key);
  if (!value) return;
  const bool digit = *n.value >= '0' && *n.value <= '9';
  const bool neutral = value->is_number() ? digit && fields.number_of(n.key, *value) == *n.value - '0' : value->dump() == n.value;
  if (!neutral)
    fields.fail(n.key, "is " + value->dump().substr(0, 60) + ", which changes the arithmetic in a way that ibid does not implement");
}

void add_ids(const Fields& fields, const std::string& key, int vocab, std::vector<int32_t>& ids) {
  const Json* value = fields.find(key);
  if (!value) return;
  if (!value->is_array()) { ids.push_back(static_cast<int32_t>(fields.integer_of(key, *value, 0, vocab - 1))); return; }
  for (const Json& item : value->items()) ids.push_back(static_cast<int32_t>(fields.integer_of(key, item, 0, vocab - 1)));
}

void sort_unique(std::vector<int32_t>& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

void check_heads(const Fields& fields, const ModelConfig& c, const std::string& heads_key, const std::string& dim_key) {
  if (c.heads % c.kv_heads != 0)
    fields.fail(heads_key, "is " + std::to_string(c.heads) + ", not a multiple of " + std::to_string(c.kv_heads) + " key/value heads");
  if ((c.heads + 2 * c.kv_heads) * int64_t{c.head_dim} > kMaxHeadRows)
    fields.fail(heads_key, "times the dimensions of a head is larger than in any model");
  if (c.head_dim % 2 != 0) fields.fail(dim_key, "is " + std::to_string(c.head_dim) + "; rotary pairs need an even number");
}

// --- Hugging Face -------------------------------------------------------------------------------------------------

enum class Has { no, if_config_says, yes };
struct Architecture {
  const char* huggingface;
  const char* normalised;                         // as GGUF calls it
  Has attention_bias;
  bool may_have_mlp_bias;                         // if the config says so
  bool head_norms;
};
constexpr Architecture kArchitectures[] = {{"LlamaForCausalLM", "llama", Has::if_config_says, true, false},
                                            {"MistralForCausalLM", "llama", Has::no, false, false},
                                            {"Qwen2ForCausalLM", "qwen2", Has::yes, false, false},
                                            {"Qwen3ForCausalLM", "qwen3", Has::if_config_says, false, true}};

const Architecture& read_architecture(const Fields& fields) {
  const Json& list = fields.need("architectures");
  if (!list.is_array() || list.items().size() != 1 || !list.items()[0].is_string())
    fields.fail("architectures", "is not a list of one name: " + list.dump().substr(0, 80));
  for (const Architecture& a : kArchitectures)
    if (list.items()[0].as_string() == a.huggingface) return a;
  fields.fail("architectures", "names " + list.items()[0].as_string() + ", which ibid does not run");
}

// rope: rope_parameters (transformers 5) or rope_scaling (before it); type: rope_type, or type in the oldest files.
void read_rope_scaling(const Fields& rope, ModelConfig& c) {
  std::string type = rope.find("rope_type") ? rope.text("rope_type") : rope.find("type") ? rope.text("type") : "default";
  if (rope.find("type") && rope.text("type") != type) rope.fail("type", "and rope_type disagree");
  if (type != "default" && type != "llama3") rope.fail("rope_type", "is " + type + "; ibid knows default and llama3");
  for (const auto& [key, value] : rope.object().members()) {
    bool of_any = key == "rope_type" || key == "type" || key == "rope_theta" || key == "partial_rotary_factor";
    bool of_llama3 = key == "factor" || key == "low_freq_factor" || key == "high_freq_factor" || key == "original_max_position_embeddings";
    if (!of_any && !(type == "llama3" && of_llama3) && !value.is_null())
      rope.fail(key, "is not a field of rope type " + type + " that ibid knows");
  }
  check_neutral(rope, {"partial_rotary_factor", "1"});
  if (type == "default") return;
  RopeScaling& s = c.rope_scaling;
  s.llama3 = true;
  s.factor = rope.positive("factor");
  s.low_freq_factor = rope.positive("low_freq_factor");
  s.high_freq_factor = rope.positive("high_freq_factor");
  s.original_context = rope.integer("original_max_position_embeddings", 1, kMaxPositions);
  if (!(s.high_freq_factor > s.low_freq_factor)) rope.fail("high_freq_factor", "is not above low_freq_factor");
}

void read_rope(const Fields& fields, ModelConfig& c) {
  const Json* parameters = fields.find("rope_parameters");
  const Json* scaling = fields.find("rope_scaling");
  if (parameters && scaling && parameters->dump() != scaling->dump())
    fields.fail("rope_parameters", "and rope_scaling are both given and differ");
  c.rope_theta = fields.positive_or("rope_theta", 10000);
  const Json* rope = parameters ? parameters : scaling;
  if (!rope) return;
  const std::string key = parameters ? "rope_parameters" : "rope_scaling";
  if (!rope->is_object()) fields.fail(key, "is not an object");
  Fields inner(*rope, fields.where() + ": " + key);
  read_rope_scaling(inner, c);
  double theta = inner.positive_or("rope_theta", c.rope_theta);
  if (fields.find("rope_theta") && theta != c.rope_theta) fields.fail("rope_theta", "and " + key + ".rope_theta differ");
  c.rope_theta = theta;
}

// A window is harmless when no position can be outside it. A Mistral config without the field means the class's default.
void check_window(const Fields& fields, const ModelConfig& c, const std::string& architecture) {
  if (const Json* types = fields.find("layer_types")) {
    if (!types->is_array()) fields.fail("layer_types", "is not a list");
    for (const Json& type : types->items())
      if (!type.is_string() || type.as_string() != "full_attention")
        fields.fail("layer_types", "holds " + type.dump().substr(0, 40) + "; ibid runs full_attention");
  }
  if (c.architecture != "llama") return;            // Qwen's classes ignore it unless use_sliding_window says so, which is refused
  int64_t none = int64_t{1} << 40;
  bool mistral_default = architecture == "MistralForCausalLM" && !fields.object().find("sliding_window");
  int64_t window = mistral_default ? 4096 : fields.integer_or("sliding_window", none, 1, none);
  if (window < c.max_positions)
    fields.fail("sliding_window",
                "is " + std::to_string(window) + (mistral_default ? " by default" : "") + ", less than max_position_embeddings " +
                    std::to_string(c.max_positions) + "; ibid does not run an active sliding window");
}

void read_sizes(const Fields& f, const std::string& architecture, ModelConfig& c) {
  c.layers = static_cast<int>(f.integer("num_hidden_layers", 1, kMaxLayers));
  c.hidden = static_cast<int>(f.integer("hidden_size", 1, kMaxWidth));
  c.intermediate = static_cast<int>(f.integer("intermediate_size", 1, kMaxWidth));
  c.heads = static_cast<int>(f.integer("num_attention_heads", 1, kMaxHeads));
  // Only Llama's class defaults to one key/value head for each head; the others' defaults fit no other model than their own.
  c.kv_heads = static_cast<int>(architecture == "LlamaForCausalLM" ? f.integer_or("num_key_value_heads", c.heads, 1, kMaxHeads)
                                                                    : f.integer("num_key_value_heads", 1, kMaxHeads));
  if (c.head_norms) f.need("head_dim");               // Qwen3's class has 128 by default, whatever the sizes
  if (!f.find("head_dim") && c.hidden % c.heads != 0)
    f.fail("hidden_size", "is not a multiple of num_attention_heads, and there is no head_dim");
  c.head_dim = static_cast<int>(f.integer_or("head_dim", c.hidden / c.heads, 2, kMaxHeadDim));
  c.vocab = static_cast<int>(f.integer("vocab_size", 1, kMaxVocab));
  c.max_positions = static_cast<int>(f.integer("max_position_embeddings", 1, kMaxPositions));
  c.norm_eps = static_cast<float>(f.positive("rms_norm_eps"));
  c.tied = f.flag_or("tie_word_embeddings", false);
  check_heads(f, c, "num_attention_heads", "head_dim");
}

// --- GGUF -----------------------------------------------------------------------------------------------------------

void check_gguf_keys(const Fields& fields, const std::string& prefix) {
  for (const auto& [key, value] : fields.object().members()) {
    if (key.compare(0, prefix.size(), prefix) != 0) continue;
    std::string rest = key.substr(prefix.size());
    auto known = std::find_if(std::begin(kGgufKnown), std::end(kGgufKnown), [&](const Neutral& n) { return rest == n.key; });
    if (known == std::end(kGgufKnown)) fields.fail(rest, "is a field that ibid does not know; it may change the arithmetic");
    if (known->value) check_neutral(fields, *known);
  }
}

void read_gguf_sizes(const Fields& f, ModelConfig& c) {
  c.layers = static_cast<int>(f.integer("block_count", 1, kMaxLayers));
  c.hidden = static_cast<int>(f.integer("embedding_length", 1, kMaxWidth));
  c.intermediate = static_cast<int>(f.integer("feed_forward_length", 1, kMaxWidth));
  c.heads = static_cast<int>(f.integer("attention.head_count", 1, kMaxHeads));
  c.kv_heads = static_cast<int>(f.integer_or("attention.head_count_kv", c.heads, 1, kMaxHeads));
  if (!f.find("attention.key_length") && c.hidden % c.heads != 0)
    f.fail("embedding_length", "is not a multiple of attention.head_count");
  c.head_dim = static_cast<int>(f.integer_or("attention.key_length", c.hidden / c.heads, 2, kMaxHeadDim));
  for (const char* key : {"attention.value_length", "rope.dimension_count"})
    if (f.integer_or(key, c.head_dim, 1, kMaxWidth) != c.head_dim)
      f.fail(key, "differs from the " + std::to_string(c.head_dim) + " dimensions of a head");
  c.max_positions = static_cast<int>(f.integer("context_length", 1, kMaxPositions));
  c.norm_eps = static_cast<float>(f.positive("attention.layer_norm_rms_epsilon"));
  c.rope_theta = f.positive_or("rope.freq_base", 10000);
  int64_t window = f.integer_or("attention.sliding_window", 0, 0, int64_t{1} << 40);
  if (window > 0 && window < c.max_positions)
    f.fail("attention.sliding_window", "is " + std::to_string(window) + "; ibid does not run an active sliding window");
  check_heads(f, c, "attention.head_count", "attention.key_length");
}

}  // namespace

ParsedConfig config_from_huggingface(const Json& config, const Json& generation_config, const std::string& where) {
  if (!config.is_object()) throw Error(ErrorKind::bad_data, where, std::string("expected an object, found ") + config.kind_name());
  Fields fields(config, where);
  ParsedConfig out;
  ModelConfig& c = out.config;
  const Architecture& architecture = read_architecture(fields);
  c.architecture = architecture.normalised;
  c.head_norms = architecture.head_norms;
  for (const Neutral& n : kHuggingFaceNeutral) check_neutral(fields, n);
  read_sizes(fields, architecture.huggingface, c);
  read_rope(fields, c);
  check_window(fields, c, architecture.huggingface);
  if (architecture.may_have_mlp_bias) out.biases.mlp = fields.flag_or("mlp_bias", false);
  else check_neutral(fields, {"mlp_bias", "false"});
  switch (architecture.attention_bias) {
    case Has::no: check_neutral(fields, {"attention_bias", "false"}); break;
    case Has::if_config_says: out.biases.qkv = out.biases.o = fields.flag_or("attention_bias", false); break;
    case Has::yes: out.biases.qkv = true; break;
  }
  c.bos_id = static_cast<int32_t>(fields.integer_or("bos_token_id", -1, 0, c.vocab - 1));
  add_ids(fields, "eos_token_id", c.vocab, c.eos_ids);
  add_ids(Fields(generation_config, where + " (generation_config.json)"), "eos_token_id", c.vocab, c.eos_ids);
  sort_unique(c.eos_ids);
  return out;
}

ParsedConfig config_from_gguf(const Json& metadata, int64_t embedding_rows, bool has_output, const std::string& where) {
  Fields general(metadata, where);
  if (general.integer_or("split.count", 1, 0, 1 << 20) > 1)
    general.fail("split.count", "is above 1: ibid does not read split files; merge them with gguf-split");
  const std::string architecture = general.text("general.architecture");
  const Architecture* known = std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                                           [&](const Architecture& a) { return architecture == a.normalised; });
  if (known == std::end(kArchitectures))
    general.fail("general.architecture", "is " + architecture + ", which ibid does not run");
  const std::string prefix = architecture + ".";
  Fields fields(metadata, where, prefix);
  check_gguf_keys(fields, prefix);
  ParsedConfig out;
  ModelConfig& c = out.config;
  c.architecture = architecture;
  c.head_norms = known->head_norms;
  read_gguf_sizes(fields, c);
  if (embedding_rows < 1 || embedding_rows > kMaxVocab)
    general.fail("token_embd.weight", "has " + std::to_string(embedding_rows) + " rows");
  c.vocab = static_cast<int>(embedding_rows);
  if (fields.integer_or("vocab_size", c.vocab, 1, kMaxVocab) != c.vocab)
    fields.fail("vocab_size", "differs from the " + std::to_string(c.vocab) + " rows of the embedding");
  c.tied = !has_output;
  out.biases.qkv = known->attention_bias == Has::yes;
  c.bos_id = static_cast<int32_t>(general.integer_or("tokenizer.ggml.bos_token_id", -1, 0, c.vocab - 1));
  for (const char* key : {"eos", "eot", "eom"})
    add_ids(general, std::string("tokenizer.ggml.") + key + "_token_id", c.vocab, c.eos_ids);
  sort_unique(c.eos_ids);
  return out;
}

std::vector<std::string> tensor_names(const ModelConfig& config, const Biases& biases) {
  struct Part { const char* name; bool bias; };
  const Part parts[] = {{"self_attn.q_proj", biases.qkv}, {"self_attn.k_proj", biases.qkv}, {"self_attn.v_proj", biases.qkv},
                        {"self_attn.o_proj", biases.o}, {"mlp.gate_proj", biases.mlp}, {"mlp.up_proj", biases.mlp},
                        {"mlp.down_proj", biases.mlp}};
  std::vector<std::string> names = {"model.embed_tokens.weight", "model.norm.weight"};
  if (!config.tied) names.push_back("lm_head.weight");
  for (int layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    for (const char* norm : {"input_layernorm.weight", "post_attention_layernorm.weight"}) names.push_back(prefix + norm);
    if (config.head_norms)
      for (const char* norm : {"self_attn.q_norm.weight", "self_attn.k_norm.weight"}) names.push_back(prefix + norm);
    for (const Part& part : parts) {
      names.push_back(prefix + part.name + ".weight");
      if (part.bias) names.push_back(prefix + part.name + ".bias");
    }
  }
  return names;
}

}  // namespace ibid::runtime
