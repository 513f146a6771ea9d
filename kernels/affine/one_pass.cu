// The affine coupling in one pass each way. h = (r | t), two numbers for each that is moved; with a bound c
//
//     forward     s = c tanh(r / c),  e = e^s,  z = b e + t,  logdet = sum s over all of a row
//     inverse     b = (z - t) e^-s,  logdet = -sum s
//     gradient    db = dz e,  ds = dz b e + dlogdet,  dr = ds (1 - (s / c)^2),  dt = dz
//
// A bound of 0 is none: s = r. Forward and inverse walk along all numbers of a row, for their sum (../cuda/middle.cuh with one
// channel); back a number is a thread's.
// Predicted: bound by memory, 24 bytes a number there, 16 in the inverse and 28 back.
//
// Error: with tanhf and expf within 2 units in the last place, 4 u, of s 6 u |s|; of e (6 c + 4) u e; of z (6 c + 6) u
// (|b e| + |t|); of the inverse's b (6 c + 6) u (|z| + |t|) e^-s; of logdet 7 u sum |s|, it is added up in double. Of the way back,
// from s and e as they are given: of db u of itself; of dr 6 u (|dz b e| + |dlogdet|). u = 2^-24; c = 0 and s exact without a bound.
//
// Legend: N rows, P places, M numbers that are moved at each. b, z, s, e and dz, db (N, P, M), h and dh (N, P, 2 M). gradient: a
// thread for each of the n = N P M numbers, 256 a block; else block w x h, grid by sums.py's walk in one chunk.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E
// instructions of affine_forward: MUFU.EX2 DADD
// instructions of affine_inverse: MUFU.EX2 DADD

#include "../cuda/middle.cuh"

__device__ __forceinline__ float stretch(float r, float bound) { return bound > 0 ? bound * tanhf(r / bound) : r; }

extern "C" __global__ __launch_bounds__(MOST_THREADS) void affine_forward(const float* b, const float* h, float* z, float* s,
                                                                          float* e, float* logdet, float bound, int numbers,
                                                                          int moved) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(numbers, 1, numbers);  // numbers = P M, all of a row
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) {
        size_t at = walk.at(i);
        size_t of = at / moved * 2 * moved + at % moved;  // r's place in h
        float found = stretch(h[of], bound);
        float grown = expf(found);
        s[at] = found;
        e[at] = grown;
        z[at] = b[at] * grown + h[of + moved];
        sum += found;
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) logdet[walk.b] = float(sum);
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void affine_inverse(const float* z, const float* h, float* b, float* logdet,
                                                                          float bound, int numbers, int moved) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(numbers, 1, numbers);
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) {
        size_t at = walk.at(i);
        size_t of = at / moved * 2 * moved + at % moved;  // r's place in h
        float s = stretch(h[of], bound);
        b[at] = (z[at] - h[of + moved]) * expf(-s);
        sum -= s;
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) logdet[walk.b] = float(sum);
}

extern "C" __global__ __launch_bounds__(256) void affine_gradient(const float* dz, const float* dlogdet, const float* b,
                                                                  const float* s, const float* e, float* db, float* dh,
                                                                  float bound, long long n, int numbers, int moved) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    size_t of = size_t(i / moved) * 2 * moved + i % moved;  // dr's place in dh
    float d = dz[i] * e[i];
    float share = bound > 0 ? s[i] / bound : 0.0f;
    db[i] = d;
    dh[of] = (d * b[i] + dlogdet[i / numbers]) * (1.0f - share * share);
    dh[of + moved] = dz[i];
}
