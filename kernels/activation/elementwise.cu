// Activation functions and their gradients, one thread a number.
//
//     y = f(x)        dx = dy f'(x)                 f and f' are in ../cuda/functions.cuh, KIND chooses one
//
// Against an array library: there each operation of a formula is a kernel that reads and writes memory, up to eight for the slope
// of a SiLU. Here a number is read once and written once. KIND is a constant, so no thread meets a branch.
// Predicted: bound by memory, 8 bytes a number forward and 12 back; 85 % of the memory's speed.
//
// Error: of y 4 units in the last place; of f' 8 of them, or 4e-7 where the slope of SiLU passes through zero.
//
// Legend: n numbers, flat. KIND 0 leaky (slope `leak` below zero), 1 tanh, 2 sigmoid, 3 silu, 4 softplus.
// Block: 256. Grid: n / 256.
//
// architectures: sm_80 sm_90
// options: KIND=0,1,2,3,4
// registers: 32
// instructions: LDG.E STG.E
// instructions with KIND=1,2,3,4: MUFU.EX2

#include "../cuda/functions.cuh"

extern "C" __global__ __launch_bounds__(256) void activation_forward(const float* x, float* y, long long n, float leak) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = activated<KIND>(x[i], leak);
}

extern "C" __global__ __launch_bounds__(256) void activation_gradient(const float* dy, const float* x, float* dx, long long n,
                                                                      float leak) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) dx[i] = dy[i] * slope_at<KIND>(x[i], leak);
}
