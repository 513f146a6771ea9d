// The cross-entropy of labels with its gradient, one warp a row at a time.
//
//     sum of log(sum of e^x_k) - x_label        dx_k = share (p_k - [k is the label]),  p = e^x / sum of e^x
//
// Against an array library: maximum, difference, exponential, sum, logarithm, quotient and the two look-ups at the labels are
// passes over memory. Here a lane goes through its share of a row for maximum and sum (../cuda/rows.cuh), and once more to write,
// when the cache has the row. A row's -log p is float32; a warp adds up its rows' in float64, a block its warps', in order, and
// ../cuda/total.cu the blocks'.
// A label that is no class is not looked up: its row is NaN, and so is the sum. The host cannot look without waiting.
// Predicted: bound by memory, 8 bytes a logit; 80 % of its speed from rows of 128 on.
//
// Error: of p (K / 32 + 8) u relative, of dx that of p and u; of a row's -log p (K / 32 + 8) u, and u of the difference of the
// row's largest number and the label's, u = 2^-24.
//
// Legend: R rows of K classes, B blocks. x, dx (R, K), labels (R,), parts (B,). Block: 256, eight rows at a time. Grid: B.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E STG.E SHFL.BFLY MUFU.EX2 DADD

#include "../cuda/rows.cuh"

extern "C" __global__ __launch_bounds__(256) void categorical_loss(const float* x, const long long* labels, float* dx,
                                                                   double* parts, int rows, int classes, float share) {
    __shared__ double sums[8];
    int warps = blockDim.x / 32, lane = threadIdx.x % 32;
    double sum = 0;
    for (int row = row_of_warp(); row < rows; row += gridDim.x * warps) {
        size_t at = size_t(row) * classes;
        Normaliser of(x + at, classes, lane);
        long long label = labels[row];
        bool known = label >= 0 && label < classes;
        float unknown = __uint_as_float(0x7fffffffu), part = known ? 1 / of.sum : unknown;  // NaN
        for (int k = lane; k < classes; k += 32) dx[at + k] = share * (expf(x[at + k] - of.top) * part - (k == label));
        sum += known ? logf(of.sum) - (x[at + label] - of.top) : unknown;
    }
    if (lane == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x) return;
    for (int warp = 1; warp < warps; warp++) sum += sums[warp];
    parts[blockIdx.x] = sum;
}
