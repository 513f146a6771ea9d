// Binary units in one pass. With u = a + bias and x = e^-|u|,
//
//     probabilities    p = 1 / (1 + x) where u > 0, else x / (1 + x)
//     summed_out       p, and sum_j log(1 + e^u_j) = sum_j max(u_j, 0) + log(1 + x_j) over all of a row
//
// The sum walks along the units of a row (../cuda/middle.cuh with one channel).
// Predicted: bound by memory, 8 bytes a unit.
//
// Error: of u as it is rounded, u_f = 2^-24: of p (8 + |u|) u_f p; of the sums u_f sum (6 log(1 + e^u) + |u|), which are added in
// double.
//
// Legend: N rows, U units. a, p (N, U), bias (U,), the sums (N,). probabilities: a thread for each of the n = N U units, 256 a
// block; summed_out: block w x h, grid by sums.py's walk in one chunk.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E MUFU.EX2
// instructions of units_summed_out: DADD

#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(256) void units_probabilities(const float* a, const float* bias, float* p, long long n,
                                                                      int units) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float u = a[i] + bias[i % units];
    float x = expf(-fabsf(u));
    p[i] = (u < 0 ? x : 1.0f) / (1.0f + x);
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void units_summed_out(const float* a, const float* bias, float* p,
                                                                            float* sums, int units) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(units, 1, units);
    double sum = 0;
    for (int j = walk.begin; j < walk.end; j += blockDim.y) {
        size_t at = walk.at(j);
        float u = a[at] + bias[j];
        float x = expf(-fabsf(u));
        p[at] = (u < 0 ? x : 1.0f) / (1.0f + x);
        sum += (u < 0 ? 0.0f : u) + log1pf(x);  // of a NaN the whole sum is NaN
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) sums[walk.b] = float(sum);
}
