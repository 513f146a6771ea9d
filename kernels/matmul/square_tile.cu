// Matrix product, rung 5 of 11: a thread makes a square of c, 8 x 8.
//
//     c[m, n] = sum over k of a[m, k] b[k, n]
//
// Against column_tile.cu: an outer product in registers. A step of k loads 8 numbers of a and 8 of b from shared memory for 64
// multiplications, a quarter of a read for each instead of more than one. It is what register_tile.py does on a CPU, with the
// same reason: the multipliers are faster than the memory nearest to them. The tile of c is 128 x 128 by 256 threads.
// The 64 sums must stay in registers: an index that the compiler cannot resolve would send them to memory, hence the unrolled
// loops, and the test that nothing is spilled.
// Predicted: twice the rung before, 68 % of a tuned library.
//
// Error: each number is a sum of K products in order, |c - exact| <= K u sum |a b|, u = 2^-24.
//
// Legend: M = rows, N = columns, K = depth. a (M, K), b (K, N), c (M, N). Block: 256. Grid: N / 128 by M / 128, rounded up.
//
// architectures: sm_80 sm_90
// registers: 144
// instructions: FFMA LDS STS BAR.SYNC

const int TILE = 128, DEPTH = 8, EACH = 8, THREADS = 256;  // EACH x EACH for a thread

extern "C" __global__ __launch_bounds__(THREADS) void matmul_square_tile(const float* a, const float* b, float* c, int rows,
                                                                         int columns, int depth) {
    __shared__ float tile_a[TILE][DEPTH + 1];  // one column more: rows then begin in different banks
    __shared__ float tile_b[DEPTH][TILE];
    int t = threadIdx.x, top = blockIdx.y * TILE, left = blockIdx.x * TILE;
    int x = t % (TILE / EACH) * EACH, y = t / (TILE / EACH) * EACH;  // the thread's square
    float sum[EACH][EACH] = {};
    for (int start = 0; start < depth; start += DEPTH) {
        for (int i = t; i < TILE * DEPTH; i += THREADS) {
            int ay = i / DEPTH, ax = i % DEPTH, by = i / TILE, bx = i % TILE;
            tile_a[ay][ax] = top + ay < rows && start + ax < depth ? a[size_t(top + ay) * depth + start + ax] : 0;
            tile_b[by][bx] = start + by < depth && left + bx < columns ? b[size_t(start + by) * columns + left + bx] : 0;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float of_a[EACH], of_b[EACH];
#pragma unroll
            for (int i = 0; i < EACH; i++) of_a[i] = tile_a[y + i][k];
#pragma unroll
            for (int j = 0; j < EACH; j++) of_b[j] = tile_b[k][x + j];
#pragma unroll
            for (int i = 0; i < EACH; i++)
#pragma unroll
                for (int j = 0; j < EACH; j++) sum[i][j] += of_a[i] * of_b[j];
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < EACH; i++)
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            int row = top + y + i, column = left + x + j;
            if (row < rows && column < columns) c[size_t(row) * columns + column] = sum[i][j];
        }
}
