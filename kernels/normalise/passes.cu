// The passes of a normalisation, each reading its values once: statistics, scaling, sums, gradient.
//
//     mean, var of x[b, r, c] over r and a group's c, r = (var + eps)^-1/2          moments_of_chunks, then joined_moments
//     xhat = (x - mean) r,  y = f(gain xhat + b)                                    scaled
//     level = sum of du, tilt = sum of du xhat,  du = dy f'(gain xhat + b)          summed, then sum_of_parts
//     dx = r (gain du - share sum gain level - share xhat sum gain tilt)            projected; sums over a group's channels
//
// All walk down a chunk of rows (../cuda/middle.cuh), so a thread meets one channel and reads its few constants once. A block takes
// its chunk's mean m_i first and the squares S_i about it after, from its cache; n_i rows each, chunks are joined as
//
//     mean = sum n_i m_i / R        R var = sum S_i + sum n_i (m_i - mean)^2
//
// in float64 (Chan, Golub and LeVeque 1983): sum x^2 - R mean^2 would lose all digits where the mean is large. A group's channels
// are further parts of the same sums. A thread adds up its group's few numbers by itself, which costs less than a launch.
// Predicted: bound by memory, 4 + 12 + 8 + 12 bytes a number; 80 % of its speed.
//
// Error: mean and sums as sums.cu says; var relative (R / (K h) + log2 h) u, u = 2^-24; of dx 4 u, and as many u as a group has
// channels of its sums; the rest 4 u.
//
// Legend: B batches, R rows, C channels, in groups of `together` neighbours, K chunks. x, y, xhat, dy, dx (B, R, C); mean, var, r,
// level, tilt (B, C); gain, b (C,); means, squares (K, B, C), parts (K, 2, B, C); share = 1 / (R together), or 0 where mean and
// variance stand still. KIND as in functions.cuh. Block: w x h.
//
// architectures: sm_80 sm_90
// options: KIND=0,3
// registers: 48
// instructions: LDG.E STG.E
// instructions of moments_of_chunks summed: FADD BAR.SYNC
// instructions of joined_moments: DADD
// instructions of scaled summed projected with KIND=3: MUFU.EX2

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
                                                                 float* r, int many, int size, int rows, int chunk, int together,
                                                                 float eps) {
    int at = blockIdx.x * blockDim.x + threadIdx.x, first = at / together * together;  // together divides C: no group is cut
    if (at >= size) return;
    double sum = 0, square = 0, all = double(rows) * together;
    for (int k = 0; k < many; k++)
        for (int i = first; i < first + together; i++)
            sum += double(min(chunk, rows - k * chunk)) * means[size_t(k) * size + i];
    double whole = sum / all;
    for (int k = 0; k < many; k++)
        for (int i = first; i < first + together; i++) {
            double apart = means[size_t(k) * size + i] - whole;
            square += squares[size_t(k) * size + i] + min(chunk, rows - k * chunk) * apart * apart;
        }
    mean[at] = float(whole);
    var[at] = float(square / all);
    r[at] = float(1 / sqrt(square / all + eps));
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
                                                                  const float* b, float* parts, int batch, int rows, int channels,
                                                                  int chunk, float leak) {
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
    size_t at = walk.part(2 * batch);
    parts[at] = sum;
    parts[at + size_t(batch) * channels] = product;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void projected(const float* dy, const float* xhat, const float* gain,
                                                                     const float* b, const float* r, const float* level,
                                                                     const float* tilt, float* dx, int rows, int channels,
                                                                     int chunk, int together, float share, float leak) {
    Middle walk(rows, channels, chunk);
    if (walk.c >= channels) return;
    float slope = gain[walk.c], offset = b[walk.c], factor = r[walk.column()], down = 0, across = 0;
    int first = walk.c / together * together;
    size_t row_of_sums = size_t(walk.b) * channels;
    for (int c = first; c < first + together; c++) {
        down += gain[c] * level[row_of_sums + c];
        across += gain[c] * tilt[row_of_sums + c];
    }
    float along = slope * factor;
    down *= factor * share;
    across *= factor * share;
    for (int row = walk.begin; row < walk.end; row += blockDim.y) {
        size_t at = walk.at(row);
        float z = xhat[at], du = dy[at] * slope_at<KIND>(slope * z + offset, leak);
        dx[at] = along * du - down - across * z;
    }
}
