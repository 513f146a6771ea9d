// A step of Adam beside the vectors instead of in place, and the way back through it, one thread a parameter.
//
//     m' = keep1 m + take1 g        v' = keep2 v + take2 g^2        theta' = theta - rate (m' / c1) / (root + eps)
//     root = sqrt(v' / c2)          c1 = 1 - power1 kept1           c2 = 1 - power2 kept2
//
//     b_m = a_m - s / c1            b_v = a_v + s (m' / c1) / (root + eps) / (2 c2 root)      s = rate a / (root + eps)
//     by_g = take1 b_m + twice2 g b_v,  by_m = keep1 b_m,  by_v = keep2 b_v                   twice2 = 2 take2
//
// keep = beta, take = 1 - beta; kept = beta^t after the t steps that were taken, which changes from step to step and lies in the
// device's memory; power = beta^k of the k-th imagined step, a number of the launch. c1 and c2 are taken in double: early on they
// are differences of numbers close to each other. A root of 0, where no gradient has ever come, is read as TINY: m' is 0 there.
// Against an array library: one pass instead of some fifteen, 28 bytes a parameter; back one instead of some twenty, 36 bytes.
// Predicted: bound by memory, 85 % of its speed.
//
// Error: of m', v' 3 u of the sum of their terms; of theta's step 8 u of what m' and v' are as rounded, and u of theta'; of what
// goes back 12 u of the sum of the absolute terms, u = 2^-24.
//
// Legend: P parameters. theta, g, m, v, a, a_m, a_v, by_g, by_m, by_v (P,), a_m and a_v null where they are zero; kept1, kept2
// (1,). Block: 256. Grid: P / 256, rounded up.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E MUFU.RSQ

const float TINY = 1e-30f;

// 1 - power kept
__device__ __forceinline__ float corrected(const float* kept, double power) { return float(1 - power * double(*kept)); }

extern "C" __global__ __launch_bounds__(256) void adam_imagined(const float* theta, const float* g, const float* m, const float* v,
                                                                const float* kept1, const float* kept2, float* next_theta,
                                                                float* next_m, float* next_v, long long n, float keep1, float take1,
                                                                float keep2, float take2, double power1, double power2, float rate,
                                                                float eps) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float mean = keep1 * m[i] + take1 * g[i], square = keep2 * v[i] + take2 * g[i] * g[i];
    next_m[i] = mean;
    next_v[i] = square;
    float root = sqrtf(square / corrected(kept2, power2));
    next_theta[i] = theta[i] - rate * (mean / corrected(kept1, power1)) / (root + eps);
}

extern "C" __global__ __launch_bounds__(256) void adam_imagined_back(const float* a, const float* a_m, const float* a_v,
                                                                     const float* g, const float* m, const float* v,
                                                                     const float* kept1, const float* kept2, float* by_g,
                                                                     float* by_m, float* by_v, long long n, float keep1, float take1,
                                                                     float keep2, float twice2, double power1, double power2,
                                                                     float rate, float eps) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float c1 = corrected(kept1, power1), c2 = corrected(kept2, power2), root = sqrtf(v[i] / c2);
    float slope = rate * a[i] / (root + eps), step = m[i] / c1 / (root + eps);
    float b_m = (a_m ? a_m[i] : 0) - slope / c1;
    float b_v = (a_v ? a_v[i] : 0) + slope * step / (2 * c2 * (root < TINY ? TINY : root));  // a NaN stays
    by_g[i] = take1 * b_m + twice2 * g[i] * b_v;
    by_m[i] = keep1 * b_m;
    by_v[i] = keep2 * b_v;
}
