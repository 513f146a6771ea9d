// A normalisation of batches that are each one's own (group, instance and layer norm), there in one launch and back in one.
//
//     there    mean, var of x[b] over its rows and a group's channels, r = (var + eps)^-1/2,
//              xhat = (x - mean) r,  y = f(gain xhat + b)
//     back     du = dy f'(gain xhat + b),  level = sum of du over the rows,  tilt = sum of du xhat,
//              dx = r (gain du - share sum gain level - share xhat sum gain tilt),  share = 1 / (R together)
//
// A block takes one b whole, and goes through it two or three times: what it has read once lies in its cache. A thread keeps to one
// channel, so it reads its few constants once; the sums of a channel are added in pairs in shared memory, those of a group one
// after the other by each of its threads, in float64.
// Against passes.cu, five launches there and back and a sum of parts: it needs one block's worth of channels and enough b for a
// GPU (cuda.py says when), and x, dy and xhat come from memory once.
// Predicted: bound by memory, 12 bytes a number there and 12 back.
//
// Error: sums of a channel (R / h + log2 h) u of the sum of the absolute values, u = 2^-24; var is that of x about a mean that is
// as far off as its sum; the rest 4 u.
//
// Legend: B batches, R rows, C channels, in groups of `together` neighbours. x, y, xhat, dy, dx (B, R, C); r, level, tilt (B, C);
// gain, b (C,). KIND as in functions.cuh. Block: C x h, h a power of two. Grid: B.
//
// architectures: sm_80 sm_90
// options: KIND=0,3
// registers: 48
// instructions: LDG.E STG.E FADD DADD BAR.SYNC
// instructions with KIND=3: MUFU.EX2

#include "../cuda/functions.cuh"
#include "../cuda/middle.cuh"

const int MOST_OF_WHOLE = 1024;  // threads of a block

// The sum over a group's channels of what each channel's threads have alike.
__device__ __forceinline__ double group_sum(float of_channel, int together, float* memory) {
    if (threadIdx.y == 0) memory[threadIdx.x] = of_channel;
    __syncthreads();
    int first = threadIdx.x / together * together;
    double sum = 0;
    for (int c = first; c < first + together; c++) sum += memory[c];
    __syncthreads();  // memory may be written again
    return sum;
}

extern "C" __global__ __launch_bounds__(MOST_OF_WHOLE, 1) void normalised_whole(const float* x, const float* gain, const float* b,
                                                                             float* xhat, float* y, float* r, int rows,
                                                                             int together, float eps, float leak) {
    __shared__ float memory[MOST_OF_WHOLE];
    int channels = blockDim.x, c = threadIdx.x;
    size_t batch = size_t(blockIdx.x) * rows * channels + c;
    float slope = gain[c], offset = b[c], sum = 0, square = 0;

    for (int row = threadIdx.y; row < rows; row += blockDim.y) sum += x[batch + size_t(row) * channels];
    double many = double(rows) * together;
    float mean = float(group_sum(block_sum(sum, memory), together, memory) / many);
    for (int row = threadIdx.y; row < rows; row += blockDim.y) {
        float off = x[batch + size_t(row) * channels] - mean;
        square += off * off;
    }
    float factor = float(1 / sqrt(group_sum(block_sum(square, memory), together, memory) / many + eps));
    if (threadIdx.y == 0) r[size_t(blockIdx.x) * channels + c] = factor;
    for (int row = threadIdx.y; row < rows; row += blockDim.y) {
        size_t at = batch + size_t(row) * channels;
        float z = (x[at] - mean) * factor;
        xhat[at] = z;
        y[at] = activated<KIND>(slope * z + offset, leak);
    }
}

extern "C" __global__ __launch_bounds__(MOST_OF_WHOLE, 1) void normalised_whole_back(const float* dy, const float* xhat,
                                                                                  const float* gain, const float* b,
                                                                                  const float* r, float* dx, float* level,
                                                                                  float* tilt, int rows, int together, float leak) {
    __shared__ float memory[MOST_OF_WHOLE];
    int channels = blockDim.x, c = threadIdx.x;
    size_t batch = size_t(blockIdx.x) * rows * channels + c, sums = size_t(blockIdx.x) * channels + c;
    float slope = gain[c], offset = b[c], factor = r[sums], sum = 0, product = 0;

    for (int row = threadIdx.y; row < rows; row += blockDim.y) {
        size_t at = batch + size_t(row) * channels;
        float z = xhat[at], du = dy[at] * slope_at<KIND>(slope * z + offset, leak);
        sum += du;
        product += du * z;
    }
    sum = block_sum(sum, memory);
    product = block_sum(product, memory);
    if (threadIdx.y == 0) level[sums] = sum, tilt[sums] = product;

    double share = factor / (double(rows) * together);
    float down = float(share * group_sum(slope * sum, together, memory)), along = slope * factor;
    float across = float(share * group_sum(slope * product, together, memory));
    for (int row = threadIdx.y; row < rows; row += blockDim.y) {
        size_t at = batch + size_t(row) * channels;
        float z = xhat[at], du = dy[at] * slope_at<KIND>(slope * z + offset, leak);
        dx[at] = along * du - down - across * z;
    }
}
