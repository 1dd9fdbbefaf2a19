// A model of a given shape with random weights, made in memory: for `ibid bench`, selftest and tests.
//
// Owns: one block of random bf16 values. Must not know: files, devices.
//
// 1. The weights follow from (shape, seed) alone, by our own integer generator: the same on every machine.
// 2. All tensors are windows into the one block, which is little larger than the largest of them, so a model of 1.2e9 weights
//    takes the memory of its embedding. Converted weights are separate for each layer, so a token still reads them all.
// 3. The tokenizer is a byte-level vocabulary without merges: 256 bytes, then filler words; nothing ends an answer.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/model_files.h"

namespace ibid::runtime {

struct RandomModel {
  ModelFiles files;                    // its tensors point into block
  std::vector<uint16_t> block;         // bf16
};

// shape: "tiny" (a few thousand weights, biases, tied), "tiny-llama" (untied, Llama 3 rotary scaling), "tiny-qwen3" (norms of heads),
// "qwen2-0.5b", "llama-1b", "llama-8b".
// Errors: usage (no such shape, naming those there are).
RandomModel make_random_model(std::string_view shape, uint64_t seed);

}  // namespace ibid::runtime
