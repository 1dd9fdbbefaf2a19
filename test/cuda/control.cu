// Everything that test/cuda/ptx_test.sh must find, in one kernel.
__global__ void control(float* x, double* d, float* sum) {
  float a = x[threadIdx.x], b = x[threadIdx.x + 32];
  x[0] = __fdividef(a, b);
  x[1] = a * b + x[2];
  x[3] = __expf(a) + rsqrtf(b);
  x[4] = __fadd_rz(a, b);
  d[0] = d[1] * d[2] + d[3];
  atomicAdd(sum, a);
}
