// The order of random 64-bit numbers, two words each: a permutation, one thread a number.
//
//     rank(i) = how many (number j, j) lie below (number i, i)            order[rank(i)] = i
//
// A sort by counting: no rank depends on another, and the numbers' places break ties, so the order is that of any stable sort,
// and the same on every device. n^2 comparisons are many, but each is a few instructions on a number that a whole block reads at
// once: it copies 256 numbers into shared memory, and every thread compares its own with each of them.
// Predicted: 6 instructions a comparison, some tens of microseconds at n = 10^4, where 79 blocks do not fill a large GPU. From
// 10^5 on a radix sort, of several launches over tables of digits, is faster.
//
// Error: none.
//
// Legend: n numbers. words (n, 2), the upper half first, order (n,). Block: 128. Grid: n / 128, rounded up.
//
// architectures: sm_80 sm_90
// registers: 32
// instructions: LDG.E.64 LDS STG.E.64

#define TILE 256

__device__ __forceinline__ unsigned long long number(const unsigned* words, long long i) {
    uint2 w = reinterpret_cast<const uint2*>(words)[i];
    return (unsigned long long)w.x << 32 | w.y;
}

extern "C" __global__ __launch_bounds__(128) void philox_order(const unsigned* words, long long* order, int n) {
    __shared__ unsigned long long tile[TILE];
    int i = blockIdx.x * blockDim.x + threadIdx.x, rank = 0;
    unsigned long long own = i < n ? number(words, i) : 0;
    for (int begin = 0; begin < n; begin += TILE) {
        int count = min(TILE, n - begin);
        for (int j = threadIdx.x; j < count; j += blockDim.x) tile[j] = number(words, begin + j);
        __syncthreads();
        for (int j = 0; j < count; j++) rank += tile[j] < own || (tile[j] == own && begin + j < i);
        __syncthreads();
    }
    if (i < n) order[rank] = i;
}
