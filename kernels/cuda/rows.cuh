// A row of logits for each warp: its largest number, and the sum of e^(x - largest), from one walk along it.
//
// A lane keeps the largest number so far with the sum relative to it; a larger one rescales the sum (Milakov and Gimelshein 2018,
// "Online normalizer calculation for softmax"). The 32 pairs are joined by shuffles, without shared memory or a barrier of the
// block. Whoever goes along the row once more, to write, finds it in the cache.
#pragma once

const unsigned ALL = 0xffffffffu;
const float LOWEST = -3.4028235e38f;  // not minus infinity: a masked number may be that, and its difference from it is NaN

__device__ __forceinline__ int row_of_warp() { return int(blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32); }

struct Normaliser {
    float top, sum;  // the same for all lanes

    __device__ __forceinline__ Normaliser(const float* x, int classes, int lane) : top(LOWEST), sum(0) {
        for (int k = lane; k < classes; k += 32) {
            float higher = x[k] > top ? x[k] : top;
            sum = sum * expf(top - higher) + expf(x[k] - higher);
            top = higher;
        }
        for (int apart = 16; apart; apart /= 2) {
            float other_top = __shfl_xor_sync(ALL, top, apart), other_sum = __shfl_xor_sync(ALL, sum, apart);
            float higher = other_top > top ? other_top : top;
            sum = sum * expf(top - higher) + other_sum * expf(other_top - higher);
            top = higher;
        }
        top = __shfl_sync(ALL, top, 0);  // two lanes may round a * b + c * d differently
        sum = __shfl_sync(ALL, sum, 0);
    }
};
