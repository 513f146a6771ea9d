// Sums over the middle axis: of rows (C = 1), of columns (B = 1), of everything (both).
//
//     sum[b, c] = sum over r of x[b, r, c]
//
// Against one thread a sum: there are few sums and many rows, and a thread for each would leave most of a GPU idle and, for rows,
// read with gaps. Here 256 threads share a chunk of rows and meet in shared memory; where there are several chunks each writes
// its part, and `sum_of_parts` adds them in order. No atomic addition: its order, and so its bits, would change from run to run.
// Predicted: the time of reading x once, 90 % of the memory's speed.
//
// Error: a number passes through at most R / (K h) + log2 h + K additions: that many times u sum |x|, u = 2^-24.
//
// Legend: B, R, C sizes, K chunks. x (B, R, C); parts (K, B, C), or with K = 1 the sums (B, C), added to where `accumulate`.
// Block: w x h. Grid: B times C / w by K.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E FADD BAR.SYNC

#include "middle.cuh"

extern "C" __global__ __launch_bounds__(MOST_THREADS) void sums(const float* x, float* parts, int batch, int rows, int channels,
                                                                int chunk, int accumulate) {
    __shared__ float memory[MOST_THREADS];
    Middle walk(rows, channels, chunk);
    float sum = 0;
    for (int row = walk.begin; row < walk.end; row += blockDim.y) sum += x[walk.at(row)];
    sum = block_sum(sum, memory);
    if (!walk.writes()) return;
    if (accumulate) sum += parts[walk.column()];
    parts[walk.part(batch)] = sum;
}
