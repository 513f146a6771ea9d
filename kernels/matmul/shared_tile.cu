// Matrix product, rung 3 of 11: a block reads together what all its threads need.
//
//     c[m, n] = sum over k of a[m, k] b[k, n]
//
// Against coalesced.cu: the threads of a block make a tile of c, T x T. Along k it goes in steps of T: the block copies T x T
// numbers of a and of b into shared memory, each thread one of each, and every thread then runs T steps of its sum out of there.
// Each number from global memory is used T times instead of once.
// Two barriers: the first before reading what others wrote, the second before overwriting what others still read. Outside the
// matrices the tiles hold zeros, so that the inner loop asks no questions.
// What is still slow: shared memory has to be read twice for every multiplication.
// Predicted: 1.5 times the rung before, 13 % of a tuned library.
//
// Error: each number is a sum of K products in order, |c - exact| <= K u sum |a b|, u = 2^-24.
//
// Legend: M = rows, N = columns, K = depth. a (M, K), b (K, N), c (M, N). Block: (T, T). Grid: N / T by M / T, rounded up.
//
// architectures: sm_80 sm_90
// registers: 64
// instructions: FFMA LDS STS BAR.SYNC

const int T = 32;

extern "C" __global__ __launch_bounds__(T * T) void matmul_shared_tile(const float* a, const float* b, float* c, int rows,
                                                                       int columns, int depth) {
    __shared__ float tile_a[T][T];
    __shared__ float tile_b[T][T];
    int x = threadIdx.x, y = threadIdx.y;
    int row = blockIdx.y * T + y, column = blockIdx.x * T + x;
    float sum = 0;
    for (int start = 0; start < depth; start += T) {
        tile_a[y][x] = row < rows && start + x < depth ? a[size_t(row) * depth + start + x] : 0;
        tile_b[y][x] = start + y < depth && column < columns ? b[size_t(start + y) * columns + column] : 0;
        __syncthreads();
#pragma unroll
        for (int k = 0; k < T; k++) sum += tile_a[y][k] * tile_b[k][x];
        __syncthreads();
    }
    if (row < rows && column < columns) c[size_t(row) * columns + column] = sum;
}
