// The plain row ops by name, for the files that make up kRowOpsScalar.
#pragma once
#include "kernels/cpu/row_ops.h"

namespace ibid::kernels::scalar {

bool quantize(const float* x, int k, int16_t* q, float* scale);
void attend(const AttentionTile& tile, int block, AttentionScratch& scratch, AttentionPartial* out);
void merge(AttentionPartial& state, const AttentionPartial& next, int head_dim);
bool all_finite(const float* x, int n);
int argmax(const float* x, int n);
int64_t weigh(const float* x, int n, float max, int64_t* p);
void add_noise(float* x, const int32_t* id, int n, uint64_t key, uint32_t position, uint32_t sample_index);

}  // namespace ibid::kernels::scalar
