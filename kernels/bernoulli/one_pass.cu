// The Bernoulli likelihood from logits and its gradient, in one pass; and of rows kept apart, in two.
//
//     -log p(x | z) = softplus(z) - x z      d/dz = share (sigmoid(z) - x)      softplus and sigmoid are in ../cuda/functions.cuh
//
// Against an array library: z and x are read once for both results, instead of some ten passes over memory. Every term is computed
// in float32 and added in float64, 256 threads to a chunk (../cuda/middle.cuh); ../cuda/total.cu adds the chunks' sums up in order.
// Of rows, the weight is known when all rows have been summed: so there are two kernels.
// Predicted: bound by memory, 12 bytes a number; half of its speed where float64 is slow.
//
// Error: of a term 3 units in the last place, the sum nearly none; of the gradient 4e-7 of its share, absolute.
//
// Legend: n numbers; K chunks. z, x, dz (n,), parts (K,). Of rows: z, dz (N D, P), x (N, P), nll, dnll (N D,): D decodings of
// every x. Block: 1 x h.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E MUFU.EX2
// instructions of bernoulli_loss bernoulli_rows: DADD

#include "../cuda/functions.cuh"
#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(MOST_THREADS) void bernoulli_loss(const float* z, const float* x, float* dz, double* parts,
                                                                          int n, int chunk, float share) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(n, 1, chunk);
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) {
        sum += softplus(z[i]) - x[i] * z[i];
        dz[i] = share * (sigmoid(z[i]) - x[i]);
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) parts[blockIdx.y] = sum;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void bernoulli_rows(const float* z, const float* x, float* nll, int decodings,
                                                                          int pixels) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(pixels, 1, pixels);
    const float* target = x + size_t(walk.b / decodings) * pixels;
    double sum = 0;
    for (int p = walk.begin; p < walk.end; p += blockDim.y) {
        float logit = z[walk.at(p)];
        sum += softplus(logit) - target[p] * logit;
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) nll[walk.b] = float(sum);
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void bernoulli_rows_gradient(const float* z, const float* x,
                                                                                   const float* dnll, float* dz, int decodings,
                                                                                   int pixels) {
    Middle walk(pixels, 1, pixels);
    const float* target = x + size_t(walk.b / decodings) * pixels;
    float weight = dnll[walk.b];
    for (int p = walk.begin; p < walk.end; p += blockDim.y) dz[walk.at(p)] = weight * (sigmoid(z[walk.at(p)]) - target[p]);
}
