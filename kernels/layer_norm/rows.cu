// Layer normalisation of rows and its gradient, one warp a row.
//
//     xhat = (x - mean) r,  r = (var + eps)^-1/2,  y = gain xhat + b          dx = r (g - mean g - xhat mean(g xhat)),  g = gain dy
//
// Against an array library: mean, difference, squares, their mean, product, gain and bias are passes over memory. Here a lane goes
// through its share of the row for the mean, for the squares about it, and to write; what it has read once lies in its cache.
// Predicted: bound by memory, 12 bytes a number each way; 80 % of its speed from rows of 128 numbers on.
//
// Error: of mean and variance (C / 32 + 5) u of the mean of the absolute values, u = 2^-24; of xhat and y 4 u beside that; of dx that
// of two sums of C products.
//
// Legend: P places, C channels. x, xhat, y, dy, dx (P, C), r (P,), gain, b (C,). Block: 256, eight rows. Grid: P / 8, rounded up.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E SHFL.BFLY

#include "../cuda/rows.cuh"

// The same sum for all lanes: they add in pairs, and a + b = b + a.
__device__ __forceinline__ float sum_of_warp(float sum) {
    for (int apart = 16; apart; apart /= 2) sum += __shfl_xor_sync(ALL, sum, apart);
    return sum;
}

extern "C" __global__ __launch_bounds__(256) void layer_norm_forward(const float* x, const float* gain, const float* b, float* xhat,
                                                                     float* y, float* r, int places, int channels, float eps) {
    int row = row_of_warp(), lane = threadIdx.x % 32;
    if (row >= places) return;
    size_t at = size_t(row) * channels;
    float mean = 0, square = 0;
    for (int c = lane; c < channels; c += 32) mean += x[at + c];
    mean = sum_of_warp(mean) / channels;
    for (int c = lane; c < channels; c += 32) {
        float off = x[at + c] - mean;
        square += off * off;
    }
    float factor = 1 / sqrtf(sum_of_warp(square) / channels + eps);
    if (lane == 0) r[row] = factor;
    for (int c = lane; c < channels; c += 32) {
        float z = (x[at + c] - mean) * factor;
        xhat[at + c] = z;
        y[at + c] = gain[c] * z + b[c];
    }
}

extern "C" __global__ __launch_bounds__(256) void layer_norm_gradient(const float* dy, const float* xhat, const float* gain,
                                                                      const float* r, float* dx, int places, int channels) {
    int row = row_of_warp(), lane = threadIdx.x % 32;
    if (row >= places) return;
    size_t at = size_t(row) * channels;
    float down = 0, across = 0;
    for (int c = lane; c < channels; c += 32) {
        float g = gain[c] * dy[at + c];
        down += g;
        across += g * xhat[at + c];
    }
    down = sum_of_warp(down) / channels;
    across = sum_of_warp(across) / channels;
    for (int c = lane; c < channels; c += 32) dx[at + c] = r[row] * (gain[c] * dy[at + c] - down - xhat[at + c] * across);
}
