// The sum of squared errors with its gradient, in one pass.
//
//     sum of (y - target)^2        dy = share (y - target)
//
// share is 2 / n for the gradient of the mean, times whatever it is to be scaled by. The errors are float32, their squares and the
// sum float64, 256 threads to a chunk (../cuda/middle.cuh); ../cuda/total.cu adds the chunks' sums up in order.
// Against an array library: one pass over memory, 12 bytes a number, instead of four passes, 36 bytes.
// Predicted: bound by memory, 85 % of its speed; half of it where float64 is slow.
//
// Error: of dy 2 u relative to the rounded y - target, of a term of the sum nothing beside it, u = 2^-24.
//
// Legend: n numbers, K chunks. y, target, dy (n,), parts (K,). Block: 1 x h. Grid: 1 by K.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E DFMA

#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(MOST_THREADS) void squares_loss(const float* y, const float* target, float* dy,
                                                                        double* parts, int n, int chunk, float share) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(n, 1, chunk);
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) {
        float error = y[i] - target[i];
        sum += double(error) * error;
        dy[i] = share * error;
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) parts[blockIdx.y] = sum;
}
