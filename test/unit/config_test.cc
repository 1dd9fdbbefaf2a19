// Which configurations ibid runs, what it takes from them, and that everything else is refused by the name of the field.
#include "runtime/config.h"

#include <limits>

#include "runtime/gguf.h"
#include "test/model_fixture.h"

using namespace ibid;
using namespace ibid::runtime;
using namespace ibid::test;

namespace {

ParsedConfig parse(const Json& config, const Json& generation = Json()) {
  return config_from_huggingface(config, generation, "config.json");
}

Json with(const std::string& key, const std::string& value) {
  Json config = tiny_config();
  config.set(key, Json::parse(value, "test"));
  return config;
}

Json without(const std::string& key) {
  Json config = tiny_config();
  std::erase_if(config.members(), [&](const Json::Member& m) { return m.first == key; });
  return config;
}

std::string refusal(const Json& config) { return error_of([&] { parse(config); }); }

// The refusal names the field and something of the reason.
void check_refused(const std::string& key, const std::string& value, const std::string& reason) {
  std::string got = refusal(with(key, value));
  INFO(key << ": " << value << " gave: " << got);
  CHECK(mentions(got, key));
  CHECK(mentions(got, reason));
}

Json metadata(const GgufWriter& w) { return parse_gguf(w.file(), "f").metadata; }
ParsedConfig parse_metadata(const GgufWriter& w, int64_t rows = 10) { return config_from_gguf(metadata(w), rows, false, "f"); }
std::string gguf_refusal(const GgufWriter& w) { return error_of([&] { parse_metadata(w); }); }

}  // namespace

TEST_CASE("public configurations: two run, the others are refused by their architecture") {
  struct Case { const char* file; const char* refused_for; };
  const Case cases[] = {{"tinystories-656k", ""}, {"gemma-3-1b-it", "Gemma3ForCausalLM"}, {"gpt-oss-20b", "GptOssForCausalLM"},
                        {"olmo2-7b-instruct", "Olmo2ForCausalLM"}, {"qwen3-14b", ""}, {"qwen3-30b-a3b", "Qwen3MoeForCausalLM"}};
  for (const Case& c : cases) {
    std::string path = data_file(std::string("configs/") + c.file + ".config.json");
    if (path.empty()) return;
    std::string got = refusal(Json::parse(read_file(path), path));
    INFO(c.file << ": " << got);
    if (*c.refused_for) CHECK(mentions(got, std::string("architectures names ") + c.refused_for));
    else CHECK(got == "");
  }
}

TEST_CASE("the fields of a plain Llama configuration") {
  ModelConfig c = parse(tiny_config()).config;
  CHECK((c.architecture == "llama" && c.layers == 1 && c.hidden == 8 && c.intermediate == 16 && c.heads == 2 && c.kv_heads == 1));
  CHECK((c.head_dim == 4 && c.vocab == 10 && c.max_positions == 64 && c.rope_theta == 10000 && !c.rope_scaling.llama3));
  CHECK((c.norm_eps == 1e-5f && c.tied && c.bos_id == 1 && c.eos_ids == std::vector<int32_t>{2}));
  CHECK(parse(without("num_key_value_heads")).config.kv_heads == 2);
  CHECK(parse(with("head_dim", "6")).config.head_dim == 6);
  CHECK(parse(with("head_dim", "null")).config.head_dim == 4);
  CHECK(parse(without("bos_token_id")).config.bos_id == -1);
  CHECK(!parse(without("tie_word_embeddings")).config.tied);
  CHECK(parse(with("torch_dtype", "\"bfloat16\"")).config.hidden == 8);
  CHECK(parse(with("dtype", "\"float32\"")).config.hidden == 8);
}

TEST_CASE("Qwen3: norms of heads, a head size of its own, biases where it says so, a window only where it is used") {
  Json qwen = with("architectures", R"(["Qwen3ForCausalLM"])");
  CHECK(mentions(refusal(qwen), "head_dim is missing"));
  qwen.set("head_dim", 6);
  qwen.set("sliding_window", 32);
  ParsedConfig p = parse(qwen);
  CHECK((p.config.architecture == "qwen3" && p.config.head_norms && p.config.head_dim == 6 && !p.biases.qkv && !p.biases.o));
  const std::vector<std::string> names = tensor_names(p.config, p.biases);
  for (const char* norm : {"q_norm", "k_norm"})
    CHECK(std::count(names.begin(), names.end(), std::string("model.layers.0.self_attn.") + norm + ".weight") == 1);
  qwen.set("attention_bias", true);
  CHECK((parse(qwen).biases.qkv && parse(qwen).biases.o && !parse(qwen).biases.mlp));
  qwen.set("use_sliding_window", true);
  CHECK(mentions(refusal(qwen), "use_sliding_window is true"));
}

TEST_CASE("end ids are united, sorted and bounded") {
  Json generation = Json::parse(R"({"eos_token_id":[7,2,5]})", "g");
  CHECK(parse(tiny_config(), generation).config.eos_ids == std::vector<int32_t>{2, 5, 7});
  CHECK(parse(with("eos_token_id", "[9,3]")).config.eos_ids == std::vector<int32_t>{3, 9});
  CHECK(parse(with("eos_token_id", "null")).config.eos_ids.empty());
  check_refused("eos_token_id", "10", "not within 0 to 9");
  check_refused("eos_token_id", "[\"2\"]", "not an integer");
}

TEST_CASE("both dialects of rotary scaling") {
  const std::string llama3 = R"("factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":32)";
  for (const std::string& json : {R"({"rope_scaling":{"type":"llama3",)" + llama3 + R"(},"rope_theta":500000.0})",
                                  R"({"rope_scaling":{"rope_type":"llama3",)" + llama3 + R"(},"rope_theta":500000})",
                                  R"({"rope_parameters":{"rope_type":"llama3","rope_theta":500000.0,)" + llama3 + "}}"}) {
    Json config = tiny_config();
    for (Json fields = Json::parse(json, "test"); auto& [key, value] : fields.members()) config.set(key, value);
    ModelConfig c = parse(config).config;
    CHECK((c.rope_theta == 500000 && c.rope_scaling.llama3 && c.rope_scaling.factor == 8 && c.rope_scaling.low_freq_factor == 1));
    CHECK((c.rope_scaling.high_freq_factor == 4 && c.rope_scaling.original_context == 32));
  }
  CHECK(parse(with("rope_parameters", R"({"rope_type":"default","rope_theta":123.5})")).config.rope_theta == 123.5);
  CHECK(parse(with("rope_scaling", "null")).config.rope_theta == 10000);
  check_refused("rope_scaling", R"({"type":"yarn","factor":2})", "is yarn");
  check_refused("rope_scaling", R"({"rope_type":"dynamic","factor":2})", "is dynamic");
  check_refused("rope_scaling", R"({"rope_type":"linear","factor":2})", "is linear");
  check_refused("rope_scaling", R"({"type":"mrope","mrope_section":[1]})", "is mrope");
  check_refused("rope_scaling", R"({"rope_type":"default","mrope_section":[1]})", "mrope_section");
  check_refused("rope_scaling", R"({"rope_type":"llama3","type":"yarn"})", "disagree");
  check_refused("rope_scaling", R"({"rope_type":"llama3",)" + llama3 + R"(,"attention_factor":2})", "attention_factor");
  check_refused("rope_scaling", R"({"rope_type":"llama3","factor":8})", "low_freq_factor is missing");
  check_refused("rope_scaling",
                R"({"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4,"original_max_position_embeddings":32})",
                "high_freq_factor");
  check_refused("rope_scaling", R"({"rope_type":"llama3","factor":"8"})", "not a number");
  check_refused("rope_parameters", R"({"full_attention":{"rope_type":"default"}})", "full_attention");
  check_refused("rope_parameters", R"({"rope_type":"default","partial_rotary_factor":0.5})", "partial_rotary_factor");
  check_refused("rope_theta", "-1", "not above zero");
  Json both = with("rope_theta", "10000");
  both.set("rope_parameters", Json::parse(R"({"rope_theta":5})", "test"));
  CHECK(mentions(refusal(both), "differ"));
}

TEST_CASE("fields that change the arithmetic are refused by name, their neutral values are not") {
  struct Case { const char* key; const char* neutral; const char* refused; };
  const Case cases[] = {{"hidden_act", "\"silu\"", "\"gelu\""}, {"pretraining_tp", "1", "2"},
                        {"quantization_config", "null", "{\"quant_method\":\"gptq\"}"}, {"partial_rotary_factor", "1.0", "0.75"},
                        {"rope_interleaved", "false", "true"}, {"embedding_multiplier", "1.0", "12.0"},
                        {"residual_multiplier", "1", "0.22"}, {"logits_scaling", "1.0", "8.0"},
                        {"attention_multiplier", "null", "0.0078125"}, {"attn_logit_softcapping", "null", "50.0"},
                        {"final_logit_softcapping", "null", "30.0"}, {"num_local_experts", "0", "8"},
                        {"use_sliding_window", "false", "true"}, {"query_pre_attn_scalar", "null", "256"},
                        {"no_rope_layers", "null", "[1,0]"}};
  for (const Case& c : cases) {
    INFO(c.key);
    CHECK(refusal(with(c.key, c.neutral)) == "");
    check_refused(c.key, c.refused, "changes the arithmetic");
  }
}

TEST_CASE("sizes are needed, are integers and agree") {
  for (const char* key : {"architectures", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
                          "max_position_embeddings", "rms_norm_eps"})
    CHECK(mentions(refusal(without(key)), std::string(key) + " is missing"));
  check_refused("hidden_size", "8.0", "not an integer");
  check_refused("hidden_size", "0", "not within");
  check_refused("num_hidden_layers", "2147483648", "not within");
  check_refused("num_hidden_layers", "99999999999999999999", "not an integer");
  check_refused("num_attention_heads", "3", "not a multiple of");
  CHECK(mentions(refusal(with("num_key_value_heads", "3")), "num_attention_heads is 2, not a multiple of 3"));
  Json heads = with("num_attention_heads", "4");
  heads.set("num_key_value_heads", 3);
  CHECK(mentions(refusal(heads), "num_attention_heads is 4, not a multiple of 3 key/value heads"));
  check_refused("head_dim", "5", "even number");
  check_refused("rms_norm_eps", "0", "not above zero");
  for (const char* key : {"rms_norm_eps", "pretraining_tp", "logit_scale"})
    for (const char* beyond_double : {"1e999", "1e-999"}) check_refused(key, beyond_double, "not a number");
  check_refused("tie_word_embeddings", "1", "neither true nor false");
  check_refused("architectures", R"(["LlamaForCausalLM","X"])", "list of one name");
  CHECK(mentions(refusal(Json(Json::Array{})), "expected an object"));
}

TEST_CASE("sliding windows: harmless when never active, else refused; Mistral's default counts") {
  Json mistral = with("architectures", R"(["MistralForCausalLM"])");
  mistral.set("max_position_embeddings", 32768);
  CHECK(mentions(refusal(mistral), "sliding_window is 4096 by default"));
  mistral.set("sliding_window", Json());
  CHECK(parse(mistral).config.architecture == "llama");
  mistral.set("sliding_window", 32768);
  CHECK(refusal(mistral) == "");
  mistral.set("sliding_window", 32767);
  CHECK(mentions(refusal(mistral), "active sliding window"));
  Json qwen = with("architectures", R"(["Qwen2ForCausalLM"])");
  qwen.set("sliding_window", 32);
  qwen.set("layer_types", Json::parse(R"(["full_attention"])", "test"));
  CHECK((parse(qwen).config.architecture == "qwen2" && !parse(qwen).config.head_norms));
  qwen.set("layer_types", Json::parse(R"(["sliding_attention"])", "test"));
  CHECK(mentions(refusal(qwen), "layer_types"));
}

TEST_CASE("biases follow the architecture and its flags, and so do the tensors that a model must have") {
  Biases none = parse(tiny_config()).biases, attention = parse(with("attention_bias", "true")).biases;
  Biases mlp = parse(with("mlp_bias", "true")).biases;
  CHECK((!none.qkv && !none.o && !none.mlp && attention.qkv && attention.o && !attention.mlp && !mlp.qkv && mlp.mlp));
  Json qwen = with("architectures", R"(["Qwen2ForCausalLM"])");
  Biases q = parse(qwen).biases;
  CHECK((q.qkv && !q.o && !q.mlp));
  Json mistral = with("architectures", R"(["MistralForCausalLM"])");
  mistral.set("attention_bias", true);
  CHECK(mentions(refusal(mistral), "attention_bias"));
  ModelConfig c = parse(tiny_config()).config;
  CHECK(tensor_names(c, none).size() == 11);
  CHECK(tensor_names(c, {true, true, true}).size() == 18);
  c.tied = false;
  c.layers = 3;
  CHECK(tensor_names(c, none).size() == 3 + 3 * 9);
}

TEST_CASE("GGUF metadata gives the same configuration") {
  ParsedConfig p = parse_metadata(tiny_gguf_metadata().u32("tokenizer.ggml.eot_token_id", 7).u32("tokenizer.ggml.eom_token_id", 8));
  const ModelConfig& c = p.config;
  CHECK((c.architecture == "llama" && c.layers == 1 && c.hidden == 8 && c.intermediate == 16 && c.heads == 2 && c.kv_heads == 1));
  CHECK((c.head_dim == 4 && c.vocab == 10 && c.max_positions == 64 && c.rope_theta == 10000 && c.norm_eps == 1e-5f && c.tied));
  CHECK((c.bos_id == 1 && c.eos_ids == std::vector<int32_t>{2, 7, 8} && !p.biases.qkv));
  CHECK(parse_metadata(tiny_gguf_metadata("qwen2")).biases.qkv);
  const ParsedConfig qwen3 = parse_metadata(tiny_gguf_metadata("qwen3"));
  CHECK((qwen3.config.architecture == "qwen3" && qwen3.config.head_norms && !qwen3.biases.qkv));
  CHECK(parse_metadata(tiny_gguf_metadata().f32("llama.rope.freq_base", 100000.f)).config.rope_theta == 100000);
  CHECK(parse_metadata(tiny_gguf_metadata().u32("llama.attention.key_length", 6).u32("llama.attention.value_length", 6))
            .config.head_dim == 6);
}

TEST_CASE("GGUF metadata that ibid cannot follow is refused by name") {
  CHECK(mentions(gguf_refusal(tiny_gguf_metadata("gemma3")), "general.architecture is gemma3"));
  CHECK(mentions(gguf_refusal(GgufWriter()), "general.architecture is missing"));
  CHECK(mentions(gguf_refusal(tiny_gguf_metadata().raw("split.count", 2, le(uint16_t{3}))), "split.count"));
  CHECK(mentions(gguf_refusal(tiny_gguf_metadata().u32("llama.expert_count", 8)), "expert_count is 8"));
  CHECK(mentions(gguf_refusal(tiny_gguf_metadata().string("llama.rope.scaling.type", "yarn")), "rope.scaling.type is \"yarn\""));
  CHECK(gguf_refusal(tiny_gguf_metadata().string("llama.rope.scaling.type", "none")) == "");
  CHECK(mentions(gguf_refusal(tiny_gguf_metadata().f32("llama.rope.scaling.factor", 4)), "rope.scaling.factor is 4"));
  CHECK(mentions(gguf_refusal(tiny_gguf_metadata().f32("llama.new_thing", 4)), "llama.new_thing is a field that ibid does not know"));
  CHECK(mentions(gguf_refusal(tiny_gguf_metadata().u32("llama.rope.dimension_count", 2)), "rope.dimension_count"));
  CHECK(mentions(gguf_refusal(tiny_gguf_metadata().u32("llama.attention.sliding_window", 63)), "active sliding window"));
  CHECK(mentions(gguf_refusal(tiny_gguf_metadata().u32("llama.vocab_size", 11)), "vocab_size"));
  CHECK(mentions(gguf_refusal(tiny_gguf_metadata().f32("llama.rope.freq_base", std::numeric_limits<float>::quiet_NaN())
                                                  .u32("tokenizer.ggml.eot_token_id", 10)), "eot_token_id"));
  GgufWriter heads = tiny_gguf_metadata("qwen2");
  heads.raw("qwen2.attention.key_length", 9, le(uint32_t{4}) + le(uint64_t{1}) + le(uint32_t{4}));
  CHECK(mentions(gguf_refusal(heads), "attention.key_length is not an integer"));
}

TEST_CASE("damaged configurations give an Error or a bounded configuration") {
  const std::string valid =
      with("rope_scaling",
           R"({"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":32})").dump();
  int refused = 0;
  for (uint32_t n = 0; n < 5'000; ++n) {
    ModelConfig c;
    if (!error_of([&] { c = parse(Json::parse(mutant(valid, n), "config.json")).config; }).empty()) { ++refused; continue; }
    REQUIRE((c.layers >= 1 && c.layers <= 4096 && c.kv_heads >= 1 && c.heads % c.kv_heads == 0 && c.head_dim % 2 == 0));
  }
  CHECK(refused > 2'000);
  CHECK(refused < 5'000);
}
