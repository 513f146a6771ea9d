// The passes of a normalisation, each reading its values once: moments, scaling, sums, gradient.
//
//     mean, var over r of x[b, r, c]                      moments_of_chunks, then joined_moments
//     xhat = (x - mean) r,  y = f(gain xhat + b)          scaled
//     sum of du, sum of du xhat,  du = dy f'(gain xhat + b)                     summed
//     dx = straight du - level - tilt xhat                projected
//
// All walk down a chunk of rows (../cuda/middle.cuh), so a thread meets one channel and reads its few constants once. A block takes
// its chunk's mean m_i first and the squares S_i about it after, from its cache; n_i rows each, chunks are joined as
//
//     mean = sum n_i m_i / R        R var = sum S_i + sum n_i (m_i - mean)^2
//
// in float64 (Chan, Golub and LeVeque 1983): sum x^2 - R mean^2 would lose all digits where the mean is large.
// Predicted: bound by memory, 4 + 12 + 8 + 12 bytes a number; 80 % of its speed.
//
// Error: mean and sums as sums.cu says; var relative (R / (K h) + log2 h) u, u = 2^-24; the rest 4 u.
//
// Legend: B, C what statistics belong to, R what they are over, K chunks. x, y, xhat, dy, dx (B, R, C); mean, var, r, straight,
// level, tilt (B, C); gain, b (C,); means, squares, sums, products (K, B, C). KIND as in functions.cuh. Block: w x h.
//
// architectures: sm_80 sm_90
// options: KIND=0,3
// registers: 48
// instructions: LDG.E FADD BAR.SYNC

#include "../cuda/functions.cuh"
#include "../cuda/middle.cuh"

extern "C" __global__ __launch_bounds__(MOST_THREADS) void moments_of_chunks(const float* x, float* means, float* squares, int batch,
                                                                             int rows, int channels, int chunk) {
    __shared__ float memory[MOST_THREADS];
    Middle walk(rows, channels, chunk);
    float sum = 0;
    for (int row = walk.begin; row < walk.end; row += blockDim.y) sum += x[walk.at(row)];
    float mean = block_sum(sum, memory) / (min(rows, walk.first + chunk) - walk.first);
    float square = 0;
    for (int row = walk.begin; row < walk.end; row += blockDim.y) {
        float off = x[walk.at(row)] - mean;
        square += off * off;
    }
    square = block_sum(square, memory);
    if (!walk.writes()) return;
    means[walk.part(batch)] = mean;
    squares[walk.part(batch)] = square;
}

extern "C" __global__ __launch_bounds__(256) void joined_moments(const float* means, const float* squares, float* mean, float* var,
                                                                 int many, int size, int rows, int chunk) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= size) return;
    double sum = 0, square = 0;
    for (int k = 0; k < many; k++) sum += double(min(chunk, rows - k * chunk)) * means[size_t(k) * size + at];
    double whole = sum / rows;
    for (int k = 0; k < many; k++) {
        double apart = means[size_t(k) * size + at] - whole;
        square += squares[size_t(k) * size + at] + min(chunk, rows - k * chunk) * apart * apart;
    }
    mean[at] = float(whole);
    var[at] = float(square / rows);
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void scaled(const float* x, const float* mean, const float* r,
                                                                  const float* gain, const float* b, float* xhat, float* y,
                                                                  int rows, int channels, int chunk, float leak) {
    Middle walk(rows, channels, chunk);
    if (walk.c >= channels) return;
    float centre = mean[walk.column()], factor = r[walk.column()], slope = gain[walk.c], offset = b[walk.c];
    for (int row = walk.begin; row < walk.end; row += blockDim.y) {
        size_t at = walk.at(row);
        float z = (x[at] - centre) * factor;
        xhat[at] = z;
        y[at] = activated<KIND>(slope * z + offset, leak);
    }
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void summed(const float* dy, const float* xhat, const float* gain,
                                                                  const float* b, float* sums, float* products, int batch, int rows,
                                                                  int channels, int chunk, float leak) {
    __shared__ float memory[MOST_THREADS];
    Middle walk(rows, channels, chunk);
    bool within = walk.c < channels;
    float slope = within ? gain[walk.c] : 0, offset = within ? b[walk.c] : 0, sum = 0, product = 0;
    for (int row = walk.begin; row < walk.end; row += blockDim.y) {
        float z = xhat[walk.at(row)], du = dy[walk.at(row)] * slope_at<KIND>(slope * z + offset, leak);
        sum += du;
        product += du * z;
    }
    sum = block_sum(sum, memory);
    product = block_sum(product, memory);
    if (!walk.writes()) return;
    sums[walk.part(batch)] = sum;
    products[walk.part(batch)] = product;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void projected(const float* dy, const float* xhat, const float* gain,
                                                                     const float* b, const float* straight, const float* level,
                                                                     const float* tilt, float* dx, int rows, int channels,
                                                                     int chunk, float leak) {
    Middle walk(rows, channels, chunk);
    if (walk.c >= channels) return;
    float slope = gain[walk.c], offset = b[walk.c], along = straight[walk.column()], down = level[walk.column()],
          across = tilt[walk.column()];
    for (int row = walk.begin; row < walk.end; row += blockDim.y) {
        size_t at = walk.at(row);
        float z = xhat[at], du = dy[at] * slope_at<KIND>(slope * z + offset, leak);
        dx[at] = along * du - down - across * z;
    }
}
