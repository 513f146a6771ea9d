// Matrix product, rung 11 of 11: tensor cores, float32 numbers rounded to bf16.
//
//     c[m, n] = f(sum over k of a[m, k] b[k, n] + c'[m, n] + bias[n])
//
// Against tf32.cu: 7 bits of fraction instead of 10, and twice as many multiplications in an instruction. The numbers in memory
// stay float32, so that the bytes that move stay the same; a pair is rounded into one register when it leaves shared memory.
// Predicted: as fast as tf32.cu, for shared memory is the bound (lesson 10). One whose numbers are bf16 in memory would be nearer to
// twice.
//
// Error: |c - exact| <= (2^-7 + K u) sum |a b|, u = 2^-24; by norm on normal numbers 2.4e-3.
//
// Legend: M = rows, N = columns, K = depth. a (M, K), or (K, M) with TRANSPOSE_A; b (K, N), or (N, K) with TRANSPOSE_B; c (M, N), or
// (parts, M, N) where gridDim.z parts share out k; bias (N,) or null. Block: 256 and tiles of 128 with LARGE, else 128 and 64.
//
// architectures: sm_80 sm_90
// options: TRANSPOSE_A=0,1 TRANSPOSE_B=0,1 LARGE=0,1
// registers: 168
// instructions: HMMA.16816.F32.BF16 LDGSTS

#include "product.cuh"

extern "C" __global__ __launch_bounds__(Bf16<LARGE>::THREADS) void matmul_bf16(
    const float* a, const float* b, float* c, const float* bias, int rows, int columns, int depth, float slope, int accumulate) {
    product<Bf16<LARGE>>(a, b, c, bias, rows, columns, depth, slope, accumulate);
}
