// The Gaussian likelihood, and the divergence of a Gaussian from the standard one, each with its gradients in one pass.
//
//     likelihood    sum of (l + log 2 pi + e^2 p) / 2,  e = mean - x, p = e^-l        dmean = share e p, dl = share (1 - e^2 p) / 2
//     divergence    sum of (mean^2 + e^l - 1 - l) / 2                                 dmean = share mean, dl = share (e^l - 1) / 2
//
// l is the logarithm of the variance. `share` is 1 / N for a mean over the batch, times whatever the gradients are to be scaled by.
// Terms are in float32 and added in float64, 256 threads to a chunk (../cuda/middle.cuh); ../cuda/total.cu adds the chunks' sums
// up in order and divides by N.
// e^l - 1 is expm1, and e^l - 1 - l, which cancels near 0, is computed from it: l is near 0 at the end of training.
// Predicted: bound by memory, 20 and 16 bytes a number; half of its speed where float64 is slow.
//
// Error: of a term and of a gradient 4 u of the largest of what is added, u = 2^-24.
//
// Legend: n numbers, K chunks. mean, logvar, x, dmean, dlogvar (n,), parts (K,). Block: 1 x h. Grid: 1 by K.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E MUFU.EX2 DADD

#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(MOST_THREADS) void gaussian_loss(const float* mean, const float* logvar, const float* x,
                                                                         float* dmean, float* dlogvar, double* parts, int n,
                                                                         int chunk, float share) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(n, 1, chunk);
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) {
        float error = mean[i] - x[i], scaled = error * expf(-logvar[i]), square = error * scaled;
        sum += 0.5f * (logvar[i] + 1.83787707f + square);  // log 2 pi
        dmean[i] = share * scaled;
        dlogvar[i] = share * 0.5f * (1 - square);
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) parts[blockIdx.y] = sum;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void gaussian_divergence(const float* mean, const float* logvar, float* dmean,
                                                                               float* dlogvar, double* parts, int n, int chunk,
                                                                               float share) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(n, 1, chunk);
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) {
        float beyond = expm1f(logvar[i]);
        sum += 0.5f * (mean[i] * mean[i] + (beyond - logvar[i]));
        dmean[i] = share * mean[i];
        dlogvar[i] = share * 0.5f * beyond;
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) parts[blockIdx.y] = sum;
}
