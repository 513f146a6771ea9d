// One move of a chain by Langevin dynamics, one thread a number. With within(v, c) = min(max(v, -c), c),
//
//     y = within(x - step within(slope, clip) + noise eps, bound)
//
// The clips are comparisons, so a NaN stays, and an infinite limit clips nothing.
// Against an array library: one pass of 16 bytes a number instead of six, of 56, and one launch: at the size of a batch of small
// images launches are what a chain costs.
// Predicted: bound by memory, 85 % of its speed.
//
// Error: u (3 |x| + 6 |step d| + 4 |noise eps|), d the clipped slope, of the rounded factors too; u = 2^-24.
//
// Legend: n numbers. x, slope, eps, y (n,). Block: 256. Grid: n / 256.
//
// architectures: sm_80 sm_90
// registers: 24
// instructions: LDG.E STG.E

__device__ __forceinline__ float within(float v, float limit) { return v < -limit ? -limit : v > limit ? limit : v; }

extern "C" __global__ __launch_bounds__(256) void langevin_move(const float* x, const float* slope, const float* eps, float* y,
                                                                long long n, float step, float noise, float clip, float bound) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = within(x[i] - step * within(slope[i], clip) + noise * eps[i], bound);
}
