// The scalar functions of networks, one number at a time, and their slopes. What cancels is written so that it does not.
//
//     KIND            f(x)                    f'(x)
//     0 leaky         x, below zero leak x    1, below zero leak
//     1 tanh          tanh x                  4 t / (1 + t)^2,  t = e^-2|x|
//     2 sigmoid       s = 1 / (1 + e^-x)      t / (1 + t)^2,    t = e^-|x|
//     3 silu          x s                     s + x s (1 - s),  and 1 - s is the sigmoid of -x
//     4 softplus      max(x, 0) + log(1 + e^-|x|), which is log(1 + e^x)    s
//
// WHICH is a constant, most often the option KIND of a file, so each is compiled alone. exp and log1p are the compiler's, within 2 units in the last place.
#pragma once
#include "epilogue.cuh"

__device__ __forceinline__ float sigmoid(float x) {
    float t = expf(-fabsf(x));
    return (x < 0 ? t : 1) / (1 + t);
}

__device__ __forceinline__ float softplus(float x) { return (x > 0 ? x : 0) + log1pf(expf(-fabsf(x))); }

template <int WHICH> __device__ __forceinline__ float activated(float x, float leak) {
    if (WHICH == 1) return tanhf(x);
    if (WHICH == 2) return sigmoid(x);
    if (WHICH == 3) return x * sigmoid(x);
    if (WHICH == 4) return softplus(x);
    return bent(x, leak);
}

template <int WHICH> __device__ __forceinline__ float slope_at(float x, float leak) {
    if (WHICH == 3) {
        float s = sigmoid(x);
        return s + x * s * sigmoid(-x);
    }
    if (WHICH == 4) return sigmoid(x);
    if (WHICH == 0) return x > 0 ? 1 : leak;
    float t = expf((WHICH == 1 ? -2 : -1) * fabsf(x)), quotient = 1 / (1 + t);
    return (WHICH == 1 ? 4 : 1) * t * quotient * quotient;
}
