// Softmax of rows and its gradient, one warp a row.
//
//     y_k = e^(x_k - top) / sum of e^(x_j - top)          dx = y (dy - sum of dy y)
//
// Against an array library: maximum, difference, exponential, sum and quotient are five passes over memory. Here a lane goes
// through its share of the row once for maximum and sum (../cuda/rows.cuh); the second pass, which writes, reads from the cache.
// Predicted: bound by memory, 8 bytes a number forward and 12 back; 80 % of its speed from rows of 128 numbers on.
//
// Error: of y (K / 32 + 8) u relative, beside what x's rounding leaves; of dx that of a sum of K products, u = 2^-24.
//
// Legend: R rows of K numbers. x, y, dy, dx (R, K). Block: 256, eight rows. Grid: R / 8, rounded up.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E SHFL.BFLY
// instructions of softmax_forward: MUFU.EX2

#include "../cuda/rows.cuh"

extern "C" __global__ __launch_bounds__(256) void softmax_forward(const float* x, float* y, int rows, int classes) {
    int row = row_of_warp(), lane = threadIdx.x % 32;
    if (row >= rows) return;
    x += size_t(row) * classes;
    y += size_t(row) * classes;
    Normaliser of(x, classes, lane);
    float share = 1 / of.sum;
    for (int k = lane; k < classes; k += 32) y[k] = expf(x[k] - of.top) * share;
}

extern "C" __global__ __launch_bounds__(256) void softmax_gradient(const float* dy, const float* y, float* dx, int rows,
                                                                   int classes) {
    int row = row_of_warp(), lane = threadIdx.x % 32;
    if (row >= rows) return;
    size_t at = size_t(row) * classes;
    float mean = 0;
    for (int k = lane; k < classes; k += 32) mean += dy[at + k] * y[at + k];
    for (int apart = 16; apart; apart /= 2) mean += __shfl_xor_sync(ALL, mean, apart);
    for (int k = lane; k < classes; k += 32) dx[at + k] = y[at + k] * (dy[at + k] - mean);
}
