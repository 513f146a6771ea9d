// Clipping in place: several vectors together to a norm, or each number to a range.
//
//     norm = sqrt(sum of x^2),  then x = share x,  share = limit / norm where norm > limit, or 1
//     range: x = min(max(x, -limit), limit)
//
// The norm is known when all vectors have been read, so it takes three kernels: each vector's squares, 256 threads to a chunk
// (../cuda/middle.cuh); one block that adds up all chunks' parts in order and decides the share; and each vector again, whose
// threads read the share, and where it is 1 no more. Nothing comes to the host.
// Against an array library: 4 bytes a number for the sum instead of 16, and no array of squares.
// Predicted: bound by memory, 12 bytes a number for a norm, 8 for a range; 85 % of its speed.
//
// Error: of the norm u, of what is scaled 2 u beside it, u = 2^-24: squares and sums are float64.
//
// Legend: P numbers of a vector, K parts. x (P,), parts (K,), norm and share a number each. Block: 1 x h to add up, else 256.
// Grid: 1 by K, 1, P / 256.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E
// instructions of clip_squares: DFMA BAR.SYNC

#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(MOST_THREADS) void clip_squares(const float* x, double* parts, int n, int chunk) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(n, 1, chunk);
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) sum += double(x[i]) * x[i];
    sum = block_sum(sum, memory);
    if (walk.writes()) parts[blockIdx.y] = sum;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void clip_norm(const double* parts, double* norm, float* share, int many,
                                                                     double limit) {
    __shared__ double memory[MOST_THREADS];
    double found = sqrt(sum_of(parts, many, memory));
    if (threadIdx.y) return;
    *norm = found;
    *share = found > limit ? float(limit / found) : 1;
}

extern "C" __global__ __launch_bounds__(256) void clip_scale(float* x, const float* share, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && *share != 1) x[i] *= *share;
}

extern "C" __global__ __launch_bounds__(256) void clip_range(float* x, long long n, float limit) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] = x[i] < -limit ? -limit : x[i] > limit ? limit : x[i];
}
