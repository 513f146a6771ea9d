// The inner products of rows, and of all numbers: what two vectors have in common.
//
//     products     sum[r] = sum over d of a[r, d] b[r, d], added to what is there where `accumulate`
//     inner        the sum over all places, in two launches
//
// A block takes a row (../cuda/middle.cuh with rows D and one channel), or of all numbers a chunk; one block then adds up the
// chunks' parts, which are in double. Against an array library: one launch and 8 bytes a number
// instead of two and 16, since no product is written.
// Predicted: bound by memory, 85 % of its speed where there are some hundred rows.
//
// Error: (D / h + log2 h + 2) u of the sum of the absolute products, u = 2^-24; of inner u of the sum itself.
//
// Legend: R rows of D numbers, K parts. a, b (R, D), sum (R,); inner: a, b (n,), parts (K,). Block: 1 x h. Grid: R by 1, 1 by K, 1.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E BAR.SYNC
// instructions of sums_products: FFMA
// instructions of sums_inner: DFMA
// instructions of sums_inner_total: DADD

#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(MOST_THREADS) void sums_products(const float* a, const float* b, float* sums, int numbers,
                                                                         int accumulate) {
    __shared__ float memory[MOST_THREADS];
    Middle walk(numbers, 1, numbers);
    float sum = 0;
    for (int d = walk.begin; d < walk.end; d += blockDim.y) sum += a[walk.at(d)] * b[walk.at(d)];
    sum = block_sum(sum, memory);
    if (walk.writes()) sums[walk.b] = accumulate ? sums[walk.b] + sum : sum;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void sums_inner(const float* a, const float* b, double* parts, int n, int chunk) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(n, 1, chunk);
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) sum += double(a[i]) * b[i];
    sum = block_sum(sum, memory);
    if (walk.writes()) parts[blockIdx.y] = sum;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void sums_inner_total(const double* parts, float* sum, int many) {
    __shared__ double memory[MOST_THREADS];
    double found = sum_of(parts, many, memory);
    if (threadIdx.y == 0) *sum = float(found);
}
