// The logit with its log-determinant, of pixels too, its inverse and the way back, in one pass each. With k = 1 - 2 alpha
//
//     p = alpha + k x,  q = alpha + k (1 - x)
//     forward     z = log p - log q,  logdet = sum (log k - log p - log q)
//                 where u is given, of v = (pixel + u) / 256 in place of x, pixel = 255 x rounded to an integer
//     inverse     x = (s - alpha) / k,  s = 1 / (1 + e^-z),  logdet = -sum (|z| + 2 log(1 + e^-|z|) + log k)
//     gradient    dx = v (dz + dlogdet (p - q)),  v = k / (p q)
//
// There a block goes along a row for its sum (../cuda/middle.cuh with one channel); back a number is a thread's. The slope v is made
// again on the way back, from x: to write it and to read it would take longer.
// Against an array library: 8 bytes a number there and 12 of pixels, in place of some 150; back 12 instead of 100.
// Predicted: bound by memory, 85 % of its speed.
//
// Error: with logf, log1pf and expf within 2 units in the last place, 4 u, and S = |log p| + |log q|: of z (7 + 5 S) u; of logdet
// sum (8 + 7 (S + |log k|)) u, it is added up in double; of pixels the same at v as it is rounded. Of the inverse's x
// 10 u (s + alpha) / k, of its logdet sum 12 u (|z| + 2 log(1 + e^-|z|) + |log k|). Of dx 20 u v (|dz| + |dlogdet|). u = 2^-24.
//
// Legend: N rows of n numbers. x, u, z, dz, dx (N, n), u null where there is none; logdet, dlogdet (N,). gradient: a thread for each
// number, 256 a block; else block 1 x h, grid by sums.py's walk in one chunk.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E
// instructions of logit_forward: FRND DADD
// instructions of logit_inverse: MUFU.EX2 DADD

#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(MOST_THREADS) void logit_forward(const float* x, const float* u, float* z, float* logdet,
                                                                         float alpha, float k, float log_k, int numbers) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(numbers, 1, numbers);
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) {
        size_t at = walk.at(i);
        float v = u ? (rintf(255.0f * x[at]) + u[at]) / 256.0f : x[at];
        float log_p = logf(alpha + k * v), log_q = logf(alpha + k * (1.0f - v));
        z[at] = log_p - log_q;
        sum += log_k - log_p - log_q;
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) logdet[walk.b] = float(sum);
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void logit_inverse(const float* z, float* x, float* logdet, float alpha,
                                                                         float k, float log_k, int numbers) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(numbers, 1, numbers);
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) {
        float of = z[walk.at(i)], t = expf(-fabsf(of));
        x[walk.at(i)] = ((of < 0 ? t : 1) / (1 + t) - alpha) / k;
        sum -= fabsf(of) + 2.0f * log1pf(t) + log_k;
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) logdet[walk.b] = float(sum);
}

extern "C" __global__ __launch_bounds__(256) void logit_gradient(const float* dz, const float* dlogdet, const float* x, float* dx,
                                                                 float alpha, float k, long long n, int numbers) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float p = alpha + k * x[i], q = alpha + k * (1.0f - x[i]);
    dx[i] = k / (p * q) * (dz[i] + dlogdet[i / numbers] * (p - q));
}
