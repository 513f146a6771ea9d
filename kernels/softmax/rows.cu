// Softmax of rows and its gradient, one warp a row.
//
//     y_k = e^(x_k - top) / sum of e^(x_j - top)          dx = y (dy - sum of dy y)
//
// Against an array library: maximum, difference, exponential, sum and quotient are five passes over memory. Here a lane goes through
// its share of the row once and keeps the largest number so far with the sum relative to it; a larger one rescales the sum
// (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"). The 32 pairs are joined by shuffles, without
// shared memory or a barrier of the block; the second pass, which writes, reads from the cache.
// Predicted: bound by memory, 8 bytes a number forward and 12 back; 80 % of its speed from rows of 128 numbers on.
//
// Error: of y (K / 32 + 8) u relative, beside what x's rounding leaves; of dx that of a sum of K products, u = 2^-24.
//
// Legend: R rows of K numbers. x, y, dy, dx (R, K). Block: 256, eight rows. Grid: R / 8, rounded up.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E SHFL.BFLY MUFU.EX2

const unsigned ALL = 0xffffffffu;
const float LOWEST = -3.4028235e38f;  // not minus infinity: a masked number may be that, and its difference from it is NaN

__device__ __forceinline__ int row_of_warp() { return int(blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32); }

extern "C" __global__ __launch_bounds__(256) void softmax_forward(const float* x, float* y, int rows, int classes) {
    int row = row_of_warp(), lane = threadIdx.x % 32;
    if (row >= rows) return;
    x += size_t(row) * classes;
    y += size_t(row) * classes;
    float top = LOWEST, sum = 0;
    for (int k = lane; k < classes; k += 32) {
        float higher = x[k] > top ? x[k] : top;
        sum = sum * expf(top - higher) + expf(x[k] - higher);
        top = higher;
    }
    for (int apart = 16; apart; apart /= 2) {
        float other_top = __shfl_xor_sync(ALL, top, apart), other_sum = __shfl_xor_sync(ALL, sum, apart);
        float higher = other_top > top ? other_top : top;
        sum = sum * expf(top - higher) + other_sum * expf(other_top - higher);
        top = higher;
    }
    top = __shfl_sync(ALL, top, 0);  // two lanes may round a * b + c * d differently
    float share = 1 / __shfl_sync(ALL, sum, 0);
    for (int k = lane; k < classes; k += 32) y[k] = expf(x[k] - top) * share;
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
