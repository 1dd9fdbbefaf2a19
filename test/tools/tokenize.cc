// Prints the token ids of texts, for comparing with other tokenizers:
//   tokenize FILE [--bos] [--plain]   < texts.json     FILE is a tokenizer.json; texts.json is an array of strings
// One line of JSON for each text: [[ids], "decoded without special tokens"]. --plain: special tokens in text are characters.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "runtime/error.h"
#include "runtime/tokenizer.h"

using ibid::Json;
using ibid::runtime::Tokenizer;

static std::string read_all(std::istream& in) { return std::string(std::istreambuf_iterator<char>(in), {}); }

int main(int argc, char** argv) try {
  if (argc < 2) { std::fprintf(stderr, "usage: tokenize TOKENIZER_JSON [--bos] [--plain] < TEXTS_JSON\n"); return 2; }
  auto bos = Tokenizer::AddBos::no;
  auto specials = Tokenizer::Specials::recognise;
  for (int i = 2; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--bos") bos = Tokenizer::AddBos::as_model_says;
    if (std::string_view(argv[i]) == "--plain") specials = Tokenizer::Specials::as_text;
  }
  std::ifstream file(argv[1], std::ios::binary);
  Tokenizer tokenizer = Tokenizer::from_huggingface(Json::parse(read_all(file), argv[1]), Json());
  Json texts = Json::parse(read_all(std::cin), "standard input");
  for (const Json& text : texts.items()) {
    std::vector<int32_t> ids = tokenizer.encode(text.as_string(), specials, bos);
    Json::Array list;
    for (int32_t id : ids) list.emplace_back(static_cast<int64_t>(id));
    std::cout << Json(Json::Array{Json(std::move(list)), Json(tokenizer.decode(ids, true))}).dump() << "\n";
  }
} catch (const ibid::Error& e) {
  std::fprintf(stderr, "%s: %s\n", e.where.c_str(), e.what());
  return 1;
}
