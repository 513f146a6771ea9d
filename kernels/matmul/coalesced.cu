// Matrix product, rung 2 of 11: neighbouring threads, neighbouring addresses.
//
//     c[m, n] = sum over k of a[m, k] b[k, n]
//
// Against naive.cu: threadIdx.x counts columns. A warp now reads one number of a (all its lanes the same: one transaction) and
// 32 neighbours of b, 128 bytes in one piece, and writes 32 neighbours of c. The arithmetic is the same to the last bit.
// What is still slow: every multiplication loads two numbers, and the loads go to the caches again and again.
// Predicted: 6 to 7 times the rung before, 8 % of a tuned library.
//
// Error: each number is a sum of K products in order, |c - exact| <= K u sum |a b|, u = 2^-24.
//
// Legend: M = rows, N = columns, K = depth. a (M, K), b (K, N), c (M, N). Grid: N / block.x by M / block.y, rounded up.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: FFMA LDG.E

extern "C" __global__ void matmul_coalesced(const float* a, const float* b, float* c, int rows, int columns, int depth) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= rows || column >= columns) return;
    float sum = 0;
    for (int k = 0; k < depth; k++) sum += a[size_t(row) * depth + k] * b[size_t(k) * columns + column];
    c[size_t(row) * columns + column] = sum;
}
