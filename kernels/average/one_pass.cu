// A running average of parameters, one thread a parameter.
//
//     average = average + share (theta - average)
//
// Against an array library: three passes become one, 12 bytes a parameter.
// Predicted: bound by memory, 85 % of its speed.
//
// `average_step_read` takes the share from memory: see adam/one_pass.cu.
//
// Error: 3 u |theta - average|, u = 2^-24.
//
// Legend: P parameters. average, theta (P,). Block: 256. Grid: P / 256, rounded up.
//
// architectures: sm_80 sm_90
// registers: 24
// instructions: LDG.E STG.E FFMA

extern "C" __global__ __launch_bounds__(256) void average_step(float* average, const float* theta, long long n, float share) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) average[i] += share * (theta[i] - average[i]);
}

extern "C" __global__ __launch_bounds__(256) void average_step_read(float* average, const float* theta, long long n,
                                                                    const float* share) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) average[i] += share[0] * (theta[i] - average[i]);
}
