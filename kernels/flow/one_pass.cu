// The negative log-likelihood of a flow with its gradients: a pass over each part of z, and a block for the rest.
//
//     prior = sum of z^2 / 2 N + D/2 log 2 pi,  dz = z / N        volume = -sum of logdet / N,  dlogdet = -1 / N
//
// The gradients are multiplied by a scale: `share` is that over N. `flow_prior` takes a part of z, whose squares are added up in
// double, 256 threads to a chunk (../cuda/middle.cuh); `flow_joined` adds the chunks of all parts in order, adds up logdet, and
// fills dlogdet. N is some hundreds, so one block is done before a second launch would have begun.
// Against an array library: 8 bytes a number instead of 24 in five passes, and of seven launches on N numbers one.
// Predicted: bound by memory, 85 % of its speed; half of it where float64 is slow.
//
// Error: of dz 2 u of itself, of a term of the sums nothing beside it, u = 2^-24.
//
// Legend: N rows, D numbers in a row of all parts, n numbers of a part, K chunks of all parts. z, dz (n,), sums (K,) or a part's
// place in it; logdet, dlogdet (N,). flow_prior: block 1 x h, grid 1 by the part's chunks. flow_joined: one block of 1 x 256.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E
// instructions of flow_prior: DFMA
// instructions of flow_joined: DADD

#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(MOST_THREADS) void flow_prior(const float* z, float* dz, double* sums, int n, int chunk,
                                                                      float share) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(n, 1, chunk);
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) {
        sum += double(z[i]) * z[i];
        dz[i] = share * z[i];
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) sums[blockIdx.y] = sum;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void flow_joined(const double* sums, const float* logdet, double* prior,
                                                                       double* volume, float* dlogdet, int many, int rows,
                                                                       double per_row, float share) {
    __shared__ double memory[MOST_THREADS];
    double squares = sum_of(sums, many, memory), stretch = 0;
    for (int row = threadIdx.y; row < rows; row += blockDim.y) {
        stretch += logdet[row];
        dlogdet[row] = -share;
    }
    stretch = block_sum(stretch, memory);
    if (threadIdx.y) return;
    *prior = squares / (2.0 * rows) + per_row;
    *volume = -stretch / rows;
}
