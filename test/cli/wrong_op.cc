// Makes of ibid a program of which one scalar op is wrong, the one that IBID_WRONG_OP names, in one value. Linked before the
// library, whose row_ops_scalar.cc then stays out: this file holds all of it, and a table of its own.
#include <cstdlib>
#include <string>

#define kRowOpsScalar kRightOps
#include "kernels/cpu/row_ops_scalar.cc"
#undef kRowOpsScalar

namespace ibid::kernels {
namespace {

bool wrong_norm(const float* x, const float* weight, float eps, int k, float* temp, int16_t* q, float* scale) {
  const bool finite = kRightOps.norm(x, weight, eps, k, temp, q, scale);
  q[k - 1] ^= 1;
  return finite;
}

void wrong_rotate(const float* x, const float* table, int head_dim, float* y) {
  kRightOps.rotate(x, table, head_dim, y);
  y[0] = 0;                                            // another sign would cancel out between query and key
}

int64_t wrong_weigh(const float* x, int n, float max, int64_t* p) { return kRightOps.weigh(x, n, max, p) / 1000 * 1001; }

RowOps wrong_ops() {
  RowOps ops = kRightOps;
  const char* asked = std::getenv("IBID_WRONG_OP");
  const std::string name = asked ? asked : "";
  if (name == "norm") ops.norm = wrong_norm;
  if (name == "rotate") ops.rotate = wrong_rotate;
  if (name == "weigh") ops.weigh = wrong_weigh;
  return ops;
}

}  // namespace

extern const RowOps kRowOpsScalar = wrong_ops();

}  // namespace ibid::kernels
