// Matrix product, rung 4 of 11: a thread makes eight numbers of one column.
//
//     c[m, n] = sum over k of a[m, k] b[k, n]
//
// Against shared_tile.cu: a thread keeps eight sums in registers, of eight rows below each other. A number of b is then read
// from shared memory once for eight multiplications: 9 reads for 8 of them instead of 16. The tile of c is 64 x 64 by 512
// threads, and goes along k in steps of 8, so that each thread still copies one number of a and one of b.
// Predicted: 2.5 to 3 times the rung before, 36 % of a tuned library.
//
// Error: each number is a sum of K products in order, |c - exact| <= K u sum |a b|, u = 2^-24.
//
// Legend: M = rows, N = columns, K = depth. a (M, K), b (K, N), c (M, N). Block: 512. Grid: N / 64 by M / 64, rounded up.
//
// architectures: sm_80 sm_90
// registers: 64
// instructions: FFMA LDS STS BAR.SYNC

const int TILE = 64, DEPTH = 8, EACH = 8;  // EACH rows for a thread

extern "C" __global__ __launch_bounds__(512) void matmul_column_tile(const float* a, const float* b, float* c, int rows,
                                                                     int columns, int depth) {
    __shared__ float tile_a[TILE][DEPTH];
    __shared__ float tile_b[DEPTH][TILE];
    int t = threadIdx.x, top = blockIdx.y * TILE, left = blockIdx.x * TILE;
    int x = t % TILE, y = t / TILE * EACH;                // of c: the thread's column, its first row
    int ay = t / DEPTH, ax = t % DEPTH, by = t / TILE, bx = t % TILE;  // what it copies
    float sum[EACH] = {};
    for (int start = 0; start < depth; start += DEPTH) {
        tile_a[ay][ax] = top + ay < rows && start + ax < depth ? a[size_t(top + ay) * depth + start + ax] : 0;
        tile_b[by][bx] = start + by < depth && left + bx < columns ? b[size_t(start + by) * columns + left + bx] : 0;
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float number = tile_b[k][x];
#pragma unroll
            for (int i = 0; i < EACH; i++) sum[i] += tile_a[y + i][k] * number;
        }
        __syncthreads();
    }
    if (left + x >= columns) return;
#pragma unroll
    for (int i = 0; i < EACH; i++)
        if (top + y + i < rows) c[size_t(top + y + i) * columns + left + x] = sum[i];
}
