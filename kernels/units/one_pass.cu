// Binary units in one pass. With u = a + bias and x = e^-|u|,
//
//     probabilities    p = 1 / (1 + x) where u > 0, else x / (1 + x)
//     free_energy      p, and F = -sum_i v_i b_i - sum_j log(1 + e^u_j), where log(1 + e^u) = max(u, 0) + log(1 + x)
//
// Against an array library: a product with one column, some ten passes over the units, and three over the rows' sums. Here a block
// walks along the others and the units of a row and meets once (../cuda/middle.cuh).
// Predicted: bound by memory, 8 bytes a unit and 4 for each other.
//
// Error: of u as it is rounded, u_f = 2^-24: of p (8 + |u|) u_f p; of F u_f (sum (6 log(1 + e^u) + |u|) + 2 sum |v b|), which are
// added in double.
//
// Legend: N rows, U units, V others. a, p (N, U), bias or c (U,), v (N, V), b (V,), F (N,). probabilities: a thread for each of the
// n = N U units, 256 a block; free_energy: block 1 x h, grid N.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E MUFU.EX2
// instructions of units_free_energy: DADD

#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(256) void units_probabilities(const float* a, const float* bias, float* p, long long n,
                                                                      int units) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float u = a[i] + bias[i % units];
    float x = expf(-fabsf(u));
    p[i] = (u < 0 ? x : 1.0f) / (1.0f + x);
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void units_free_energy(const float* v, const float* b, const float* a,
                                                                             const float* c, float* F, float* p, int units,
                                                                             int others) {
    __shared__ double memory[MOST_THREADS];
    Middle told(others, 1, others), walk(units, 1, units);
    double sum = 0;
    for (int i = told.begin; i < told.end; i += blockDim.y) sum += v[told.at(i)] * b[i];
    for (int j = walk.begin; j < walk.end; j += blockDim.y) {
        size_t at = walk.at(j);
        float u = a[at] + c[j];
        float x = expf(-fabsf(u));
        p[at] = (u < 0 ? x : 1.0f) / (1.0f + x);
        sum += (u < 0 ? 0.0f : u) + log1pf(x);  // of a NaN the whole sum is NaN
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) F[walk.b] = float(-sum);
}
