// Matrix product, rung 1 of 11: one thread, one number of c.
//
//     c[m, n] = sum over k of a[m, k] b[k, n]
//
// The idea: the numbers of c do not depend on each other, so each gets a thread, which runs the textbook's inner loop.
// What is slow: threadIdx.x counts fastest, and the 32 threads of a warp differ in it. Here it counts rows, so at one moment a
// warp reads 32 numbers of a that lie K apart, and writes 32 that lie N apart: 32 pieces of memory of 32 bytes each, of which 4
// are used. And every number of a is read N times, of b M times.
// Predicted: 1 % of a tuned library's speed in float32.
//
// Error: each number is a sum of K products in order, |c - exact| <= K u sum |a b|, u = 2^-24.
//
// Legend: M = rows, N = columns, K = depth. a (M, K), b (K, N), c (M, N). Grid: M / block.x by N / block.y, rounded up.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: FFMA LDG.E

extern "C" __global__ void matmul_naive(const float* a, const float* b, float* c, int rows, int columns, int depth) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    int column = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= rows || column >= columns) return;
    float sum = 0;
    for (int k = 0; k < depth; k++) sum += a[size_t(row) * depth + k] * b[size_t(k) * columns + column];
    c[size_t(row) * columns + column] = sum;
}
