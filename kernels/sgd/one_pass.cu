// Gradient descent with momentum, one thread a parameter.
//
//     v = momentum v + grad            theta = theta - rate v            where v is null: theta = theta - rate grad
//
// Against an array library: one pass instead of two or four, 12 bytes a parameter, with momentum 20.
// Predicted: bound by memory, 85 % of its speed.
//
// `sgd_step_read` takes the rate from memory: see adam/one_pass.cu.
//
// Error: of the step 2 u relative, with 2 u of v's two terms, and u of theta; u = 2^-24.
//
// Legend: P parameters. theta, grad, v (P,); numbers (1,). Block: 256. Grid: P / 256, rounded up.
//
// architectures: sm_80 sm_90
// registers: 24
// instructions: LDG.E STG.E FFMA

__device__ __forceinline__ void step(float* theta, const float* grad, float* v, long long n, float rate, float momentum) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float direction = grad[i];
    if (v) v[i] = direction = momentum * v[i] + direction;
    theta[i] -= rate * direction;
}

extern "C" __global__ __launch_bounds__(256) void sgd_step(float* theta, const float* grad, float* v, long long n, float rate,
                                                           float momentum) {
    step(theta, grad, v, n, rate, momentum);
}

extern "C" __global__ __launch_bounds__(256) void sgd_step_read(float* theta, const float* grad, float* v, long long n,
                                                                const float* numbers, float momentum) {
    step(theta, grad, v, n, numbers[0], momentum);
}
