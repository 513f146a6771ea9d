// Matrix product, rung 9 of 11: all that the engine asks of a product, in float32.
//
//     c[m, n] = f(sum over k of a[m, k] b[k, n] + c'[m, n] + bias[n])
//
// Against pipelined.cu: the loop is the one that convolutions run too (../cuda/main_loop.cuh), with three tiles on the way instead of
// two, and it takes what a layer's passes ask for: either factor stored the other way round (a' b is a layer's weight gradient,
// a b' its input gradient), adding to what c holds, and a bias and an activation in the pass that writes c. Blocks of 64 x 64
// serve small matrices, and a few rows and columns with a long k share out k (blockIdx.z), so that all processors have work.
// Predicted: the speed of pipelined.cu at 4096, and 2 to 4 times it on the matrices of small models, 256 to 1024.
//
// Error: each number is a sum of K products, |c - exact| <= K u sum |a b|, u = 2^-24.
//
// Legend: M = rows, N = columns, K = depth. a (M, K), or (K, M) with TRANSPOSE_A; b (K, N), or (N, K) with TRANSPOSE_B; c (M, N), or
// (parts, M, N) where gridDim.z parts share out k; bias (N,) or null. Block: 256 and tiles of 128 with LARGE, else 128 and 64.
//
// architectures: sm_80 sm_90
// options: TRANSPOSE_A=0,1 TRANSPOSE_B=0,1 LARGE=0,1
// registers: 232
// registers with LARGE=0: 168
// instructions: FFMA LDGSTS LDS.128

#include "product.cuh"

extern "C" __global__ __launch_bounds__(Float32<LARGE>::THREADS) void matmul_float32(
    const float* a, const float* b, float* c, const float* bias, int rows, int columns, int depth, float slope, int accumulate) {
    product<Float32<LARGE>>(a, b, c, bias, rows, columns, depth, slope, accumulate);
}
