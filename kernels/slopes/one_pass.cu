// What is paid for the slope of every row, with its gradient. With |g| the norm of a row,
//
//     RULE                 pays             dg
//     0 half_square        |g|^2 / 2        share g
//     1 squared_excess     (|g| - 1)^2      2 share (1 - 1 / |g|) g, and 0 where |g| = 0
//
// A block takes a row (../cuda/middle.cuh with rows M and one channel), adds up its squares in double, and reads it once more to
// write dg: it is in a cache by then. ../cuda/total.cu adds up what the rows pay, in order. Float32 would hold no square of a
// slope below 1e-19, and a flat network's direction would be lost.
// Against an array library: two launches instead of some ten, 8 bytes a number instead of 40.
// Predicted: bound by memory, 85 % of its speed where there are some hundred rows.
//
// Error: of dg 2 u, of what a row pays nothing beside it, u = 2^-24.
//
// Legend: N rows of M numbers. g, dg (N, M), pays (N,). Block: 1 x h. Grid: N by 1.
//
// architectures: sm_80 sm_90
// options: RULE=0,1
// registers: 40
// instructions: LDG.E STG.E DFMA BAR.SYNC

#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(MOST_THREADS) void slopes_paid(const float* g, float* dg, double* pays, int numbers,
                                                                       double share) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(numbers, 1, numbers);  // b is the row
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) sum += double(g[walk.at(i)]) * g[walk.at(i)];
    sum = block_sum(sum, memory);
    double norm = sqrt(sum), bend = norm == 0 ? 0 : 2 * (1 - 1 / norm);
    float factor = float(RULE == 0 ? share : share * bend);
    for (int i = walk.begin; i < walk.end; i += blockDim.y) dg[walk.at(i)] = factor * g[walk.at(i)];
    if (walk.writes()) pays[walk.b] = RULE == 0 ? 0.5 * sum : (norm - 1) * (norm - 1);
}
