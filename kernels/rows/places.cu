// Rows of a table at places that integers name.
//
//     take      y[n] = table[i_n], NaN where there is no such row          put       table[i_n] = rows[n]
//     add_up    sum[v] = sum over the n with i_n = v of dy[n]
//
// To take and to put a thread moves one number. To add up, atomic additions would be fast and of no fixed order. Here a block keeps
// to one v and w of its numbers: its threads look at all ids, h at a time, and add what belongs to v; the h sums are added in pairs.
// All blocks look at all ids, V n of them, which is less than a product with the (n, V) matrix of zeros and ones would read.
// Predicted: take and put bound by memory, 80 % of its speed; add_up by the ids in the second cache, n V / 2 of 8 bytes.
//
// Error: take and put none; of a sum (n / h + log2 h) u of the sum of the absolute values, u = 2^-24.
//
// Legend: V rows of a table, n ids, W numbers of a row. table and the sums (V, W), ids (n,), y, rows, dy (n, W). Block: 256, add_up
// w x h. Grid: numbers / 256; V times W / w.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E LDG.E.64 STG.E
// instructions of rows_add_up: FADD BAR.SYNC

#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(256) void rows_take(const float* table, const long long* ids, float* y, long long numbers,
                                                            int rows, int wide) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= numbers) return;
    long long n = at / wide, id = ids[n];
    y[at] = id >= 0 && id < rows ? table[id * wide + (at - n * wide)] : __uint_as_float(0x7fffffffu);
}

extern "C" __global__ __launch_bounds__(256) void rows_put(float* table, const long long* ids, const float* values,
                                                           long long numbers, int rows, int wide) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= numbers) return;
    long long n = at / wide, id = ids[n];
    if (id >= 0 && id < rows) table[id * wide + (at - n * wide)] = values[at];
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void rows_add_up(const long long* ids, const float* dy, float* sums, int many,
                                                                       int wide, int accumulate) {
    __shared__ float memory[MOST_THREADS];
    Middle walk(many, wide, many);  // b is v
    float sum = 0;
    for (int n = walk.begin; n < walk.end; n += blockDim.y)
        if (ids[n] == walk.b) sum += dy[(long long)n * wide + walk.c];
    sum = block_sum(sum, memory);
    if (!walk.writes()) return;
    sums[walk.column()] = accumulate ? sums[walk.column()] + sum : sum;
}
