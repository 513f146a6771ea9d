// Matrix product, rung 10 of 11: tensor cores, float32 numbers rounded to tf32.
//
//     c[m, n] = f(sum over k of a[m, k] b[k, n] + c'[m, n] + bias[n])
//
// Against float32.cu: a step is multiplied by the tensor cores. A warp hands over 16 x 8 numbers of a and 8 x 8 of b in one
// instruction, which makes 1024 multiplications and adds them up in float32. The factors keep float32's range and 10 bits of
// fraction; they are rounded when they leave shared memory. Nothing else changes: same tiles, same copies, same epilogue.
// It is a named option: numbers are float32 in memory, but the products are not those of float32.
// Predicted: 4 to 5 times float32.cu; 60 % of a library that uses the newest instructions (wgmma) on sm_90, 90 % on sm_80.
//
// Error: |c - exact| <= (2^-10 + K u) sum |a b|, u = 2^-24; by norm on normal numbers 3e-4.
//
// Legend: M = rows, N = columns, K = depth. a (M, K), or (K, M) with TRANSPOSE_A; b (K, N), or (N, K) with TRANSPOSE_B; c (M, N), or
// (parts, M, N) where gridDim.z parts share out k; bias (N,) or null. Block: 256 and tiles of 128 with LARGE, else 128 and 64.
//
// architectures: sm_80 sm_90
// options: TRANSPOSE_A=0,1 TRANSPOSE_B=0,1 LARGE=0,1
// registers: 168
// instructions: HMMA.1688.F32.TF32 LDGSTS LDS

#include "product.cuh"

extern "C" __global__ __launch_bounds__(Tf32<LARGE>::THREADS) void matmul_tf32(
    const float* a, const float* b, float* c, const float* bias, int rows, int columns, int depth, float slope, int accumulate) {
    product<Tf32<LARGE>>(a, b, c, bias, rows, columns, depth, slope, accumulate);
}
