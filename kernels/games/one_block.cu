// What a player of an adversarial game pays for a batch of logits, the mean of f(l), with its gradient, in one block.
//
//     KIND               f(l)                    f'(l)
//     0 cross_entropy    softplus(l) - a l       s - a,  s the sigmoid
//     1 saturating       -softplus(l)            -s
//     2 squares          (l - a)^2 / 2           l - a
//     3 linear           a l                     a
//     4 hinge            max(0, 1 + a l)         a where 1 + a l > 0
//
//     value = mean sum of f(l)        dl = share f'(l)        mean is 1 / n, share is mean times what the gradient is scaled by
//
// Against an array library: there each operation of f, its mean, and each of f' is a launch of its own, some ten for 64 numbers. A
// launch takes longer than the work, so there is one: a batch has a logit a row, and a single block adds up in one order.
// Predicted: the time of a launch.
//
// Error: of a term 4 u of the largest of what is added in it; of dl 4 u of share, or of share |l - a|, u = 2^-24.
//
// Legend: n logits. l, dl (n,), value a number. Block: 1 x h. Grid: 1.
//
// architectures: sm_80 sm_90
// options: KIND=0,1,2,3,4
// registers: 40
// instructions: LDG.E STG.E DADD BAR.SYNC

#include "../cuda/functions.cuh"
#include "../cuda/middle.cuh"

__device__ __forceinline__ float paid(float l, float a) {
    if (KIND == 0) return softplus(l) - a * l;
    if (KIND == 1) return -softplus(l);
    if (KIND == 2) return 0.5f * (l - a) * (l - a);
    if (KIND == 3) return a * l;
    return 1 + a * l <= 0 ? 0 : 1 + a * l;  // a NaN is paid
}

__device__ __forceinline__ float slope(float l, float a) {
    if (KIND == 0) return sigmoid(l) - a;
    if (KIND == 1) return -sigmoid(l);
    if (KIND == 2) return l - a;
    if (KIND == 3) return a;
    return 1 + a * l > 0 ? a : 0;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void games_loss(const float* l, float* dl, double* value, int n, float a,
                                                                      double mean, float share) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(n, 1, n);
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) {
        sum += paid(l[i], a);
        dl[i] = share * slope(l[i], a);
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) *value = mean * sum;
}
