// Samples of a Gaussian, their gradient and their weight, in one pass each. With sigma = e^(logvar/2),
//
//     sample       z_k = mu + sigma eps_k
//     gradient     dmu = sum_k dz_k,    dlogvar = (sigma / 2) sum_k dz_k eps_k
//     log_ratio    sum_l (eps_k^2 + logvar - z_k^2) / 2
//
// A sample is a thread's: sigma is computed for each of the K again, which costs less than to fetch it. The gradient walks along
// the K samples of a latent (../cuda/middle.cuh with rows K and channels L), the ratio along the L latents of a sample (rows L, one
// channel).
// Predicted: bound by memory, 8 bytes a number each way, and 8 for the ratio.
//
// Error: of z 4 u of the larger of its two terms; of the gradients (K / h + log2 h) u of the sum of the absolute values, of
// dlogvar 4 u more; of the ratio 3 u of the sum of its terms, which are added in float64; u = 2^-24.
//
// Legend: N rows, K samples of each, L latents. mu, logvar, dmu, dlogvar (N, L), eps, z, dz (N, K, L), ratio (N, K). sample: a
// thread for each of the n = N K L numbers, 256 a block; the others: block w x h, grid by sums.py's walk in one chunk.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E
// instructions of reparameterize_sample reparameterize_gradient: MUFU.EX2
// instructions of reparameterize_log_ratio: DADD

#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(256) void reparameterize_sample(const float* mu, const float* logvar, const float* eps,
                                                                        float* z, long long n, int samples, int latents) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    size_t of = size_t(i / (size_t(samples) * latents)) * latents + i % latents;  // in (N, L)
    z[i] = mu[of] + expf(0.5f * logvar[of]) * eps[i];
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void reparameterize_gradient(const float* dz, const float* logvar,
                                                                                   const float* eps, float* dmu, float* dlogvar,
                                                                                   int samples, int latents) {
    __shared__ float memory[MOST_THREADS];
    Middle walk(samples, latents, samples);
    float straight = 0, turned = 0;
    for (int k = walk.begin; k < walk.end; k += blockDim.y) {
        size_t at = walk.at(k);
        straight += dz[at];
        turned += dz[at] * eps[at];
    }
    straight = block_sum(straight, memory);
    turned = block_sum(turned, memory);
    if (!walk.writes()) return;
    dmu[walk.column()] = straight;
    dlogvar[walk.column()] = 0.5f * expf(0.5f * logvar[walk.column()]) * turned;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void reparameterize_log_ratio(const float* logvar, const float* eps,
                                                                                    const float* z, float* ratio, int samples,
                                                                                    int latents) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(latents, 1, latents);  // b is a sample of all N K
    const float* own = logvar + size_t(walk.b / samples) * latents;
    double sum = 0;
    for (int l = walk.begin; l < walk.end; l += blockDim.y) {
        size_t at = walk.at(l);
        sum += eps[at] * eps[at] + own[l] - z[at] * z[at];
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) ratio[walk.b] = float(0.5 * sum);
}
