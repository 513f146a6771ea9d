// Adam with decoupled weight decay, one thread a parameter.
//
//     m = keep1 m + take1 g        v = keep2 v + take2 g^2        theta = theta - rate m / (root sqrt(v) + eps) - decay theta
//
// keep = beta, take = 1 - beta; rate = the learning rate / (1 - beta1^t), root = 1 / sqrt(1 - beta2^t), which are the bias
// corrections; decay = the learning rate times the weight decay. The host computes them in float64.
// Against an array library: one pass instead of some fifteen, 28 bytes a parameter.
// Predicted: bound by memory, 85 % of its speed.
//
// `adam_step` takes its eight numbers as arguments, `adam_step_read` from memory: a captured step is the same launch every time,
// and what changes from step to step lies where the launch looks.
//
// Error: of theta's step 6 u relative, of theta u, u = 2^-24.
//
// Legend: P parameters. theta, grad, m, v (P,); numbers (8,), in the order of the arguments. Block: 256. Grid: P / 256, rounded up.
//
// architectures: sm_80 sm_90
// registers: 32
// instructions: LDG.E STG.E MUFU.RSQ

__device__ __forceinline__ void step(float* theta, const float* grad, float* m, float* v, long long n, float keep1, float take1,
                                     float keep2, float take2, float rate, float root, float eps, float decay) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float g = grad[i], mean = keep1 * m[i] + take1 * g, square = keep2 * v[i] + take2 * g * g;
    m[i] = mean;
    v[i] = square;
    theta[i] -= rate * mean / (root * sqrtf(square) + eps) + decay * theta[i];
}

extern "C" __global__ __launch_bounds__(256) void adam_step(float* theta, const float* grad, float* m, float* v, long long n,
                                                            float keep1, float take1, float keep2, float take2, float rate,
                                                            float root, float eps, float decay) {
    step(theta, grad, m, v, n, keep1, take1, keep2, take2, rate, root, eps, decay);
}

extern "C" __global__ __launch_bounds__(256) void adam_step_read(float* theta, const float* grad, float* m, float* v, long long n,
                                                                 const float* numbers) {
    step(theta, grad, m, v, n, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6], numbers[7]);
}
