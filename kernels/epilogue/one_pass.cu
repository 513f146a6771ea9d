// Bias and leaky ReLU after a product, in place, and the way back through both with the sums for the bias.
//
//     y = f(y + b)        du = dy f'(u), db = sum of du over the rows        f' is known from y, whose sign is u's
//
// Where the product is ours, the bias is added before the numbers are written (../cuda/epilogue.cuh); this is for what was made
// elsewhere. On the way back a block walks down a chunk of rows (../cuda/middle.cuh): it writes du and adds it up at once, so dy
// is read once. The parts of db are added by `sum_of_parts`.
// Predicted: bound by memory, 8 bytes a number there, 12 back; 85 % of the memory's speed.
//
// Error: of y 2 u |y|; of db as sums.cu says, u = 2^-24.
//
// Legend: R rows, M columns, K chunks. y, dy, du (R, M); b (M,) or null; parts (K, M) or null. Block: 256; w x h on the way back.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E
// instructions of epilogue_back: FADD BAR.SYNC

#include "../cuda/epilogue.cuh"
#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(256) void epilogue_finish(float* y, const float* b, long long n, int columns, float leak) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = bent(b ? y[i] + b[i % columns] : y[i], leak);
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void epilogue_back(const float* dy, const float* y, float* du, float* parts,
                                                                         int rows, int columns, int chunk, float leak) {
    __shared__ float memory[MOST_THREADS];
    Middle walk(rows, columns, chunk);
    float sum = 0;
    for (int row = walk.begin; row < walk.end; row += blockDim.y) {
        size_t at = walk.at(row);
        float d = y[at] > 0 ? dy[at] : leak * dy[at];
        du[at] = d;
        sum += d;
    }
    if (!parts) return;
    sum = block_sum(sum, memory);
    if (walk.writes()) parts[walk.part(1)] = sum;
}
