// The inner products of rows: what two vectors of a row have in common.
//
//     sum[r] = sum over d of a[r, d] b[r, d], added to what is there where `accumulate`
//
// A block takes a row (../cuda/middle.cuh with rows D and one channel). Against an array library: one launch and 8 bytes a number
// instead of two and 16, since no product is written.
// Predicted: bound by memory, 85 % of its speed where there are some hundred rows.
//
// Error: (D / h + log2 h + 2) u of the sum of the absolute products, u = 2^-24.
//
// Legend: R rows of D numbers. a, b (R, D), sum (R,). Block: 1 x h. Grid: R by 1.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E FFMA BAR.SYNC

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
