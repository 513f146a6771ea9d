// Matrix product, rung 8 of 11: the next tile travels while this one is multiplied.
//
//     c[m, n] = sum over k of a[m, k] b[k, n]
//
// Against warp_tile.cu: two tiles of each factor lie in shared memory. While the threads multiply one, copies into the other
// are under way, and nobody waits for them until it is needed. cp.async moves the bytes straight to shared memory, past the
// registers; what lies outside the matrices becomes zeros on the way (intrinsics.cuh).
// It cannot turn a tile round on the way. So a lies [m][k], as in global memory, and a thread reads it in fours along k: eight
// rows, four steps. Its rows are 4 apart, so that the four rows that a warp reads at once begin in four different groups of banks.
// One barrier opens a tile for reading, one frees it for the copies after the next.
// Predicted: 1.0 to 1.1 times the rung before. Others have found it slower than their vectorised one: it hides waiting, and
// eight warps a block hide much of it already. It is here because the tensor cores need it.
//
// Error: each number is a sum of K products in order, |c - exact| <= K u sum |a b|, u = 2^-24.
//
// Legend: M = rows, N = columns, K = depth. a (M, K), b (K, N), c (M, N). Block: 256. Grid: N / 128 by M / 128, rounded up.
//
// architectures: sm_80 sm_90
// registers: 168
// instructions: FFMA LDGSTS LDS.128 STG.E.128 LDGDEPBAR

#include "../cuda/intrinsics.cuh"
#include "../cuda/quads.cuh"

const int TILE = 128, DEPTH = 16, EACH = 8, THREADS = 256;

__device__ __forceinline__ void copy_quad(float* to, const float* matrix, size_t row, int length, int at, bool inside, bool quads) {
    const float* from = matrix + row * length + at;
    if (quads) {
        copy_async<16>(to, inside && at < length ? from : matrix, inside && at < length);
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) copy_async<4>(to + i, inside && at + i < length ? from + i : matrix, inside && at + i < length);
}

extern "C" __global__ __launch_bounds__(THREADS) void matmul_pipelined(const float* a, const float* b, float* c, int rows,
                                                                       int columns, int depth) {
    __shared__ __align__(16) float tile_a[2][TILE][DEPTH + 4];  // [m][k]
    __shared__ __align__(16) float tile_b[2][DEPTH][TILE];      // [k][n]
    int t = threadIdx.x, top = blockIdx.y * TILE, left = blockIdx.x * TILE;
    int warp = t / 32, lane = t % 32;
    int y = warp / 2 * 32 + lane / 8, x = warp % 2 * 64 + lane % 8 * 4;  // rows y, y + 4 ..., columns x .. x + 3 and 32 right
    bool quads_a = in_quads(a, depth), quads_b = in_quads(b, columns), quads_c = in_quads(c, columns);

    auto copy = [&](int start, int into) {
#pragma unroll
        for (int i = t; i < TILE * DEPTH / 4; i += THREADS) {
            int ay = i / (DEPTH / 4), ax = i % (DEPTH / 4) * 4, by = i / (TILE / 4), bx = i % (TILE / 4) * 4;
            copy_quad(&tile_a[into][ay][ax], a, top + ay, depth, start + ax, top + ay < rows, quads_a);
            copy_quad(&tile_b[into][by][bx], b, start + by, columns, left + bx, start + by < depth, quads_b);
        }
        close_copies();
    };

    float sum[EACH][EACH] = {};
    copy(0, 0);
    for (int start = 0, now = 0; start < depth; start += DEPTH, now = 1 - now) {
        if (start + DEPTH < depth) {
            copy(start + DEPTH, 1 - now);
            wait_for_copies<1>();  // all but the ones just asked for
        } else {
            wait_for_copies<0>();
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH; k += 4) {
            float numbers_a[EACH][4];
#pragma unroll
            for (int i = 0; i < EACH; i++)
                *reinterpret_cast<float4*>(numbers_a[i]) = *reinterpret_cast<float4*>(&tile_a[now][y + 4 * i][k]);
#pragma unroll
            for (int step = 0; step < 4; step++) {
                float numbers_b[EACH];
#pragma unroll
                for (int half = 0; half < 2; half++)
                    *reinterpret_cast<float4*>(numbers_b + 4 * half) =
                        *reinterpret_cast<float4*>(&tile_b[now][k + step][x + half * 32]);
#pragma unroll
                for (int i = 0; i < EACH; i++)
#pragma unroll
                    for (int j = 0; j < EACH; j++) sum[i][j] += numbers_a[i][step] * numbers_b[j];
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        int row = top + y + 4 * i;
        if (row >= rows) continue;
#pragma unroll
        for (int half = 0; half < 2; half++)
            store_quad(c + size_t(row) * columns, left + x + half * 32, columns, quads_c,
                       make_float4(sum[i][4 * half], sum[i][4 * half + 1], sum[i][4 * half + 2], sum[i][4 * half + 3]));
    }
}
