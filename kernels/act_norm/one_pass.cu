// A gain and a bias for every channel, its inverse, and the way back with the sums for both.
//
//     z = x e^s + b,  x = (z - b) e^-s,  logdet = P sum s, or its negative, the same for all rows
//     dx = dz e^s,  ds = sum dx x + P sum dlogdet,  db = sum dz
//
// All walk down a chunk of rows (../cuda/middle.cuh with B = 1), so a thread meets one channel and takes one e^s. On the way back a
// block adds up what it has read for dx; `act_norm_joined` adds the chunks' parts in order, and P sum dlogdet with them. logdet is
// one number, and each thread with one of its N places adds up the C numbers of s: they are few, and lie in the cache.
// Predicted: bound by memory, 8 bytes a number there, 12 back; 85 % of the memory's speed.
//
// Error: with expf within 2 units in the last place, 4 u, of z 6 u (|x e^s| + |b|); of the inverse's x 7 u (|z| + |b|) e^-s; of dx
// 5 u |dx|; of ds and db as sums.cu says, in double from the chunks on, and of ds 6 u of its terms more. u = 2^-24.
//
// Legend: N rows, P positions, C channels, K chunks of the R = N P rows of channels. x, z, dz, dx (R, C); s, b, ds, db (C,);
// products, sums (K, C) or null; logdet, dlogdet (N,). Block: w x h; 256 a block for joined.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E

#include "../cuda/middle.cuh"

// logdet, by all threads of all blocks.
__device__ __forceinline__ void fill(float* logdet, const float* s, int n, int channels, int positions) {
    int block = blockIdx.y * gridDim.x + blockIdx.x, threads = blockDim.x * blockDim.y;
    int first = block * threads + threadIdx.y * blockDim.x + threadIdx.x;
    if (first >= n) return;
    double sum = 0;
    for (int c = 0; c < channels; c++) sum += s[c];
    for (int i = first; i < n; i += gridDim.x * gridDim.y * threads) logdet[i] = float(positions * sum);
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void act_norm_forward(const float* x, const float* s, const float* b, float* z,
                                                                            float* logdet, int rows, int channels, int chunk, int n,
                                                                            int positions) {
    fill(logdet, s, n, channels, positions);
    Middle walk(rows, channels, chunk);
    if (walk.c >= channels) return;
    float gain = expf(s[walk.c]), offset = b[walk.c];
    for (int row = walk.begin; row < walk.end; row += blockDim.y) z[walk.at(row)] = x[walk.at(row)] * gain + offset;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void act_norm_inverse(const float* z, const float* s, const float* b, float* x,
                                                                            float* logdet, int rows, int channels, int chunk, int n,
                                                                            int positions) {
    fill(logdet, s, n, channels, positions);
    Middle walk(rows, channels, chunk);
    if (walk.c >= channels) return;
    float gain = expf(-s[walk.c]), offset = b[walk.c];
    for (int row = walk.begin; row < walk.end; row += blockDim.y) x[walk.at(row)] = (z[walk.at(row)] - offset) * gain;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void act_norm_back(const float* dz, const float* x, const float* s, float* dx,
                                                                         float* products, float* sums, int rows, int channels,
                                                                         int chunk) {
    __shared__ float memory[MOST_THREADS];
    Middle walk(rows, channels, chunk);
    float gain = walk.c < channels ? expf(s[walk.c]) : 0, product = 0, sum = 0;
    for (int row = walk.begin; row < walk.end; row += blockDim.y) {
        size_t at = walk.at(row);
        float d = dz[at] * gain;
        dx[at] = d;
        product += d * x[at];
        sum += dz[at];
    }
    if (!products) return;
    product = block_sum(product, memory);
    sum = block_sum(sum, memory);
    if (!walk.writes()) return;
    products[walk.part(1)] = product;
    sums[walk.part(1)] = sum;
}

extern "C" __global__ __launch_bounds__(256) void act_norm_joined(const float* products, const float* sums, const float* dlogdet,
                                                                  float* ds, float* db, int many, int channels, int n,
                                                                  int positions) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= channels) return;
    double stretch = 0, product = 0, sum = 0;
    for (int row = 0; row < n; row++) stretch += dlogdet[row];
    for (int k = 0; k < many; k++) {
        product += products[size_t(k) * channels + c];
        sum += sums[size_t(k) * channels + c];
    }
    ds[c] = float(product + positions * stretch);
    db[c] = float(sum);
}
