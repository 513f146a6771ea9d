// How close rows' points are to each other, and the three other passes. For each of the B points of a row by itself,
//
//     k_ij = e^-|m_i - m_j|                              o_i = sum_j k_ij              |.| the sum over E of absolute values
//     dm_i = -sum_j k_ij (do_i + do_j) s_ij                                            s_ij = sign(m_i - m_j), 0 where they touch
//     k_dot_ij = -k_ij s_ij . (m_dot_i - m_dot_j)        o_dot_i = sum_j k_dot_ij
//     dm_dot_i = -sum_j (k_dot_ij (do_i + do_j) + k_ij (do_dot_i + do_dot_j)) s_ij
//
// A walk along the rows j (../cuda/middle.cuh): b is the row i, and a channel is a point of it, or on the way back a number of a
// point, which then makes its point's k anew: E is 4 where it is used, and an exponential costs less than an array of all pairs.
// Against an array library: one launch instead of some ten, over arrays of N N B E numbers.
// Predicted: the time of a launch up to some hundred rows, then that of N N B exponentials; back E times that.
//
// Error: of k (E d + 4) u k, d the distance, and of k_dot (E d + 2 E + 5) u k |m_dot_i - m_dot_j|; of the sums (N / h + log2 h + 2) u
// of the sum of the absolute terms more, u = 2^-24.
//
// Legend: N rows, B points of each, E numbers of a point. m, m_dot, dm, dm_dot (N, B, E); o, o_dot, dO, dO_dot (N, B). Block: w x h.
// Grid: N times B / w, or N times B E / w, in one chunk.
//
// architectures: sm_80 sm_90
// registers: 56
// instructions: LDG.E STG.E MUFU.EX2 BAR.SYNC

#include "../cuda/middle.cuh"

__device__ __forceinline__ float closeness(const float* one, const float* other, int dims) {
    float distance = 0;
    for (int e = 0; e < dims; e++) distance += fabsf(one[e] - other[e]);
    return expf(-distance);
}

__device__ __forceinline__ float signed_by(float difference, float x) { return difference > 0 ? x : difference < 0 ? -x : 0 * x; }

// -s . (m_dot_i - m_dot_j)
__device__ __forceinline__ float approach(const float* one, const float* other, const float* one_dot, const float* other_dot,
                                          int dims) {
    float sum = 0;
    for (int e = 0; e < dims; e++) sum += signed_by(one[e] - other[e], other_dot[e] - one_dot[e]);
    return sum;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void pairs_forward(const float* m, float* o, int n, int points, int dims) {
    __shared__ float memory[MOST_THREADS];
    Middle walk(n, points, n);
    const float *own = m + walk.column() * dims, *first = m + size_t(walk.c) * dims;
    float sum = 0;
    for (int j = walk.begin; j < walk.end; j += blockDim.y) sum += closeness(own, first + size_t(j) * points * dims, dims);
    sum = block_sum(sum, memory);
    if (walk.writes()) o[walk.column()] = sum;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void pairs_tangent(const float* m_dot, const float* m, float* o_dot, int n,
                                                                         int points, int dims) {
    __shared__ float memory[MOST_THREADS];
    Middle walk(n, points, n);
    size_t own = walk.column() * dims, first = size_t(walk.c) * dims;
    float sum = 0;
    for (int j = walk.begin; j < walk.end; j += blockDim.y) {
        size_t at = first + size_t(j) * points * dims;
        sum += closeness(m + own, m + at, dims) * approach(m + own, m + at, m_dot + own, m_dot + at, dims);
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) o_dot[walk.column()] = sum;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void pairs_gradient(const float* dO, const float* m, float* dm, int n,
                                                                          int points, int dims) {
    __shared__ float memory[MOST_THREADS];
    Middle walk(n, points * dims, n);
    int point = walk.c / dims, e = walk.c % dims;
    size_t own = (size_t(walk.b) * points + point) * dims;
    float mine = walk.c < walk.channels ? dO[size_t(walk.b) * points + point] : 0, sum = 0;
    for (int j = walk.begin; j < walk.end; j += blockDim.y) {
        size_t other = size_t(j) * points + point, at = other * dims;
        sum -= signed_by(m[own + e] - m[at + e], closeness(m + own, m + at, dims) * (mine + dO[other]));
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) dm[walk.column()] = sum;
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void pairs_gradient_dot(const float* dO, const float* dO_dot,
                                                                              const float* m_dot, const float* m, float* dm,
                                                                              float* dm_dot, int n, int points, int dims) {
    __shared__ float memory[MOST_THREADS];
    Middle walk(n, points * dims, n);
    int point = walk.c / dims, e = walk.c % dims;
    bool inside = walk.c < walk.channels;
    size_t row = size_t(walk.b) * points + point, own = row * dims;
    float mine = inside ? dO[row] : 0, mine_dot = inside ? dO_dot[row] : 0, sum = 0, sum_dot = 0;
    for (int j = walk.begin; j < walk.end; j += blockDim.y) {
        size_t other = size_t(j) * points + point, at = other * dims;
        float k = closeness(m + own, m + at, dims), difference = m[own + e] - m[at + e], both = mine + dO[other];
        float k_dot = k * approach(m + own, m + at, m_dot + own, m_dot + at, dims);
        sum -= signed_by(difference, k * both);
        sum_dot -= signed_by(difference, k_dot * both + k * (mine_dot + dO_dot[other]));
    }
    sum = block_sum(sum, memory);
    sum_dot = block_sum(sum_dot, memory);
    if (!walk.writes()) return;
    dm[walk.column()] = sum;
    dm_dot[walk.column()] = sum_dot;
}
