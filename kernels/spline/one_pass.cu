// Monotone rational-quadratic splines in one pass each way: a thread takes a number b and the 3 K - 1 numbers of h that bend it.
//
//     W = 2 B (c + (1 - K c) softmax(u)),  H the same of v,  S = FLAT + softplus(g + UNIT),  S_0 = S_K = 1
//     k, the bin of b, at (x0, y0) = (-B + sum_{j<k} W_j, -B + sum_{j<k} H_j), of size w = W_k, h = H_k, d0 = S_k, d1 = S_k+1
//     xi = (b - x0) / w,  r = 1 - xi,  s = h / w,  m = xi r,  t = d0 + d1 - 2 s
//     n = s xi^2 + d0 m,  D = s + t m,  P = d1 xi^2 + 2 s m + d0 r^2
//     z = y0 + h n / D,  l = log dz/db = 2 log s + log P - 2 log D,  logdet = sum l over all of a row
//
// Outside (-B, B) it is the identity. The way back and the inverse are derived in definition.py. du = p (dp - sum p dp), where dp is
// dx0 before the bin, dw in it and 0 behind it: sum p dp = dx0 sum_{j<k} p_j + dw p_k needs no second walk. A thread goes along its
// K numbers of u three times and of v as often (greatest, sum, bin): the first time they come from memory, then from the nearest
// cache, so that no array of K numbers is needed, which would have to lie in memory too. Of the K - 1 slopes two are made.
// Forward and inverse walk along all numbers of a row, for their sum (../cuda/middle.cuh with one channel).
// Predicted: bound by memory where rows are many, 4 (3 K + 1) bytes a number there and 8 (3 K + 1) back; of few, by the latency of
// 4 K exponentials, some 10 us for K = 32.
//
// Error: of x0 and y0 at most (3 K + 30) u B: K exponentials and their sum, K sizes added. Of z (3 K + 40) u B (1 + f') therefore;
// of l and the gradients, which know xi, relative as many u as B / w has, as in the definition of this precision. logdet is added
// up in double. u = 2^-24.
//
// Legend: N rows, P places, M numbers that are moved at each, K bins. b, z, dz, db (N, P, M), h, dh (N, P, 3 K - 1, M). gradient: a
// thread for each of the n = N P M numbers, 256 a block; else block w x h, grid by sums.py's walk in one chunk.
//
// architectures: sm_80 sm_90
// registers: 64
// instructions: LDG.E STG.E

#include "../cuda/functions.cuh"
#include "../cuda/middle.cuh"

const float FLAT = 1e-5f;              // the least slope at a knot
const float UNIT = 0.5413090347998154f;  // FLAT + softplus(UNIT) = 1
const float BEYOND = 3e38f;             // a place in no bin

// The softmax of K numbers, each a step after the other.
struct Softmax {
    const float* u;
    int bins, step;
    float most, total;

    __device__ __forceinline__ Softmax(const float* u, int bins, int step) : u(u), bins(bins), step(step), most(u[0]), total(0) {
        for (int j = 1; j < bins; j++) most = fmaxf(most, u[j * step]);
        for (int j = 0; j < bins; j++) total += expf(u[j * step] - most);
    }
    __device__ __forceinline__ float operator[](int j) const { return expf(u[j * step] - most) / total; }
};

// A bin's number, left end, size, the softmax before it and its own.
struct Edge {
    int k;
    float start, size, below, part;

    // The bin in which `place` lies, or bin `last`, where that comes first. Sums from 0 on, not -B, would be twice as large.
    __device__ __forceinline__ Edge(const Softmax& p, float reach, float least, float place, int last)
        : k(0), start(-reach), below(0), part(p[0]) {
        float whole = 2 * reach, share = 1 - p.bins * least;
        size = whole * (least + share * part);
        while (k < last && place >= start + size) {
            start += size;
            below += part;
            part = p[++k];
            size = whole * (least + share * part);
        }
    }
};

// The slope at knot 0 to K; g are the K - 1 inner ones.
__device__ __forceinline__ float knot_slope(const float* g, int step, int knot, int bins) {
    return knot == 0 || knot == bins ? 1 : FLAT + softplus(g[(knot - 1) * step] + UNIT);
}

// What the formulas above name, at a place xi.
struct Inside {
    float xi, r, s, m, t, n, D, P;

    __device__ __forceinline__ Inside(float xi, float w, float h, float d0, float d1) : xi(xi), r(1 - xi), s(h / w), m(xi * r) {
        t = d0 + d1 - 2 * s;
        n = s * xi * xi + d0 * m;
        D = s + t * m;
        P = d1 * xi * xi + 2 * s * m + d0 * r * r;
    }
    __device__ __forceinline__ float log_slope() const { return logf(s * s * P / (D * D)); }
};

extern "C" __global__ __launch_bounds__(MOST_THREADS) void spline_forward(const float* b, const float* h, float* z, float* logdet,
                                                                          int bins, float reach, float least, int numbers,
                                                                          int moved) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(numbers, 1, numbers);  // numbers = P M, all of a row
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) {
        size_t at = walk.at(i);
        float x = b[at];
        z[at] = x;
        if (!(-reach < x && x < reach)) continue;
        const float* u = h + at / moved * (3 * bins - 1) * moved + at % moved;
        const float *v = u + bins * moved, *g = v + bins * moved;
        Edge along(Softmax(u, bins, moved), reach, least, x, bins - 1);
        Edge up(Softmax(v, bins, moved), reach, least, BEYOND, along.k);
        float d0 = knot_slope(g, moved, along.k, bins), d1 = knot_slope(g, moved, along.k + 1, bins);
        Inside here((x - along.start) / along.size, along.size, up.size, d0, d1);
        z[at] = up.start + up.size * here.n / here.D;
        sum += here.log_slope();
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) logdet[walk.b] = float(sum);
}

extern "C" __global__ __launch_bounds__(MOST_THREADS) void spline_inverse(const float* z, const float* h, float* b, float* logdet,
                                                                          int bins, float reach, float least, int numbers,
                                                                          int moved) {
    __shared__ double memory[MOST_THREADS];
    Middle walk(numbers, 1, numbers);
    double sum = 0;
    for (int i = walk.begin; i < walk.end; i += blockDim.y) {
        size_t at = walk.at(i);
        float y = z[at];
        b[at] = y;
        if (!(-reach < y && y < reach)) continue;
        const float* u = h + at / moved * (3 * bins - 1) * moved + at % moved;
        const float *v = u + bins * moved, *g = v + bins * moved;
        Edge up(Softmax(v, bins, moved), reach, least, y, bins - 1);
        Edge along(Softmax(u, bins, moved), reach, least, BEYOND, up.k);
        float d0 = knot_slope(g, moved, up.k, bins), d1 = knot_slope(g, moved, up.k + 1, bins);
        float over = y - up.start, s = up.size / along.size, bent = over * (d0 + d1 - 2 * s);
        float square = up.size * (s - d0) + bent, straight = up.size * d0 - bent;
        float root = straight * straight + 4 * square * s * over;  // not negative, but for rounding
        float xi = 2 * s * over / (straight + sqrtf(root < 0 ? 0 : root));
        xi = xi > 1 ? 1 : xi < 0 ? 0 : xi;  // rounding must not leave the bin; NaN stays
        b[at] = along.start + xi * along.size;
        sum -= Inside(xi, along.size, up.size, d0, d1).log_slope();
    }
    sum = block_sum(sum, memory);
    if (walk.writes()) logdet[walk.b] = float(sum);
}

// du of one half: p (dp - sum p dp), with dp = `before` below bin k, `at` in it and 0 behind it.
__device__ __forceinline__ void softmax_back(const Softmax& p, const Edge& edge, float before, float at, float gain, float* du) {
    float mean = before * edge.below + at * edge.part;
    for (int j = 0; j < p.bins; j++) du[j * p.step] = gain * p[j] * ((j < edge.k ? before : j == edge.k ? at : 0) - mean);
}

extern "C" __global__ __launch_bounds__(256) void spline_gradient(const float* dz, const float* dlogdet, const float* b,
                                                                  const float* h, float* db, float* dh, int bins, float reach,
                                                                  float least, long long count, int numbers, int moved) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    size_t first = size_t(i / moved) * (3 * bins - 1) * moved + i % moved;  // u's place in h
    const float *u = h + first, *v = u + bins * moved, *g = v + bins * moved;
    float *du = dh + first, *dv = du + bins * moved, *dg = dv + bins * moved;
    float x = b[i], dy = dz[i], dl = dlogdet[i / numbers];
    if (!(-reach < x && x < reach)) {
        db[i] = dy;
        for (int j = 0; j < 3 * bins - 1; j++) du[j * moved] = 0;
        return;
    }
    Softmax p(u, bins, moved), q(v, bins, moved);
    Edge along(p, reach, least, x, bins - 1), up(q, reach, least, BEYOND, along.k);
    float w = along.size, height = up.size;
    float d0 = knot_slope(g, moved, along.k, bins), d1 = knot_slope(g, moved, along.k + 1, bins);
    Inside at((x - along.start) / w, w, height, d0, d1);

    float dn = dy * height / at.D;
    float dD = -(dn * at.n + 2 * dl) / at.D;
    float dP = dl / at.P;
    float dm = dn * d0 + dD * at.t + 2 * dP * at.s;
    float ds = 2 * dl / at.s + dn * at.xi * at.xi + dD * (1 - 2 * at.m) + 2 * dP * at.m;
    float dxi = 2 * (dn * at.s + dP * d1) * at.xi - 2 * dP * d0 * at.r + dm * (1 - 2 * at.xi);
    float dx = dxi / w;
    db[i] = dx;

    float gain = 2 * reach * (1 - bins * least);  // dW/dp
    softmax_back(p, along, -dx, -(dxi * at.xi + ds * at.s) / w, gain, du);
    softmax_back(q, up, dy, dy * at.n / at.D + ds / w, gain, dv);
    float dd0 = (dn + dD) * at.m + dP * at.r * at.r, dd1 = dD * at.m + dP * at.xi * at.xi;
    for (int j = 0; j < bins - 1; j++) {
        bool near = j == along.k - 1 || j == along.k;
        dg[j * moved] = near ? (j == along.k ? dd1 : dd0) * sigmoid(g[j * moved] + UNIT) : 0;
    }
}
