// Attention and its gradients without the matrix of weights (Dao et al. 2022, "FlashAttention").
//
//     s = scale q k'     p = softmax(s) over the keys     y = p v     log_sum = log of sum e^s, a number for each query
//
//     backward:  fall = sum of dy y over channels     ds = p (dy v' - fall)     dq = scale ds k   dk = scale ds' q   dv = p' dy
//
// p has T S numbers, more than all the rest together. Here a block keeps 16 queries and meets the keys 16 at a time: scores in
// shared memory, the largest so far and the sum relative to it for each query, and the mean of the values, rescaled when a
// larger score comes. On the way back p is made again from log_sum. q is scaled when it is loaded: s is a dot product alone, which
// no compiler joins with the subtraction after it, so it has the same bits there, and a weight of 1 comes out as 1. `fall` is
// sum p dp: y is the mean of v under p.
// dq belongs to queries and goes along the keys; dk and dv belong to keys and go along the queries: two kernels, no atomic addition,
// the same bits every time. Causal: tiles that nobody may see are skipped.
// A thread (i, j) makes the score of row i and column j, then channels j, j + 16, ... of row i's mean: a row is half a warp, and
// its weights are handed round by `__syncwarp`.
// Predicted: 4 reads of shared memory for 3 multiplications in the scores: a tenth of float32's speed; memory O(T), not O(T S).
//
// Error: (S + d) u relative to the largest |v|, and to what the softmax leaves of that of s, u = 2^-24.
//
// Legend: B = N h rows and heads, T queries, S keys, d <= 128 channels. q, y, dy, dq (B, T, d); k, v, dk, dv (B, S, d); log_sum, fall
// (B, T). Block: 16 x 16. Grid: B times T / 16, or S / 16, rounded up.
//
// architectures: sm_80 sm_90
// registers: 96
// instructions: LDS FFMA MUFU.EX2 BAR.SYNC

const int SIDE = 16, WIDEST = 128, EACH = WIDEST / SIDE;
const float LOWEST = -3.4028235e38f;

typedef float Tile[WIDEST + 1];  // a row of one; the odd length sends the 16 rows of a column to 16 banks

// `factor` times rows first .. first + 15 of a matrix (rows, width), zeros below its end
__device__ __forceinline__ void load(Tile* tile, const float* matrix, int first, int rows, int width, float factor = 1) {
    int row = first + threadIdx.y;
    for (int c = threadIdx.x; c < width; c += SIDE) tile[threadIdx.y][c] = row < rows ? factor * matrix[size_t(row) * width + c] : 0;
}

__device__ __forceinline__ float dot(const float* a, const float* b, int width) {
    float sum = 0;
    for (int c = 0; c < width; c++) sum += a[c] * b[c];
    return sum;
}

// sums[e] += sum over u of weights[u] rows[u][j + 16 e]
__device__ __forceinline__ void add(float* sums, const float* weights, const Tile* rows, int width) {
    for (int u = 0; u < SIDE; u++) {
        float weight = weights[u];
#pragma unroll
        for (int e = 0; e < EACH; e++)
            if (threadIdx.x + SIDE * e < width) sums[e] += weight * rows[u][threadIdx.x + SIDE * e];
    }
}

__device__ __forceinline__ void store(float* matrix, const float* sums, float factor, int row, int rows, int width) {
    if (row >= rows) return;
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        int c = threadIdx.x + SIDE * e;
        if (c < width) matrix[size_t(row) * width + c] = factor * sums[e];
    }
}

extern "C" __global__ __launch_bounds__(256) void attention_forward(const float* q, const float* k, const float* v, float* y,
                                                                    float* log_sum, int queries, int keys, int width, float scale,
                                                                    int causal) {
    __shared__ Tile of_q[SIDE], of_k[SIDE], of_v[SIDE];
    __shared__ float weights[SIDE][SIDE + 1];
    int tiles = (queries + SIDE - 1) / SIDE, head = blockIdx.x / tiles, first = blockIdx.x % tiles * SIDE;
    int i = threadIdx.y, j = threadIdx.x, row = first + i;
    k += size_t(head) * keys * width;
    v += size_t(head) * keys * width;
    load(of_q, q + size_t(head) * queries * width, first, queries, width, scale);
    float top = LOWEST, sum = 0, mean[EACH] = {};
    for (int start = 0; start < keys && !(causal && start >= first + SIDE); start += SIDE) {
        load(of_k, k, start, keys, width);
        load(of_v, v, start, keys, width);
        __syncthreads();
        bool seen = start + j < keys && !(causal && start + j > row);
        float score = seen ? dot(of_q[i], of_k[j], width) : 0;
        weights[i][j] = seen ? score : LOWEST;
        __syncwarp();
        float higher = top;
        for (int u = 0; u < SIDE; u++) higher = weights[i][u] > higher ? weights[i][u] : higher;
        __syncwarp();  // all have read the scores
        weights[i][j] = seen ? expf(score - higher) : 0;
        __syncwarp();
        float before = expf(top - higher);
        top = higher;
        sum *= before;
        for (int u = 0; u < SIDE; u++) sum += weights[i][u];
#pragma unroll
        for (int e = 0; e < EACH; e++) mean[e] *= before;
        add(mean, weights[i], of_v, width);
        __syncthreads();  // the tiles may be written again
    }
    store(y + size_t(head) * queries * width, mean, 1 / sum, row, queries, width);
    if (j == 0 && row < queries) log_sum[size_t(head) * queries + row] = top + logf(sum);
}

extern "C" __global__ __launch_bounds__(256) void attention_of_queries(const float* q, const float* k, const float* v,
                                                                       const float* y, const float* dy, const float* log_sum,
                                                                       float* fall, float* dq, int queries, int keys, int width,
                                                                       float scale, int causal) {
    __shared__ Tile of_q[SIDE], of_k[SIDE], of_v[SIDE], of_dy[SIDE];
    __shared__ float weights[SIDE][SIDE + 1];
    int tiles = (queries + SIDE - 1) / SIDE, head = blockIdx.x / tiles, first = blockIdx.x % tiles * SIDE;
    int i = threadIdx.y, j = threadIdx.x, row = first + i;
    size_t mine = size_t(head) * queries * width, at = size_t(head) * queries + row;
    k += size_t(head) * keys * width;
    v += size_t(head) * keys * width;
    load(of_q, q + mine, first, queries, width, scale);
    load(of_dy, dy + mine, first, queries, width);
    load(of_v, y + mine, first, queries, width);
    __syncwarp();
    // The mean of dp under p, summed as dp is: under a single weight of 1 the two are equal, and large keys multiply nothing
    float mean = dot(of_dy[i], of_v[i], width), whole = row < queries ? log_sum[at] : 0;
    __syncwarp();  // before the row of y is written over
    if (j == 0 && row < queries) fall[at] = mean;
    float sums[EACH] = {};
    for (int start = 0; start < keys && !(causal && start >= first + SIDE); start += SIDE) {
        load(of_k, k, start, keys, width);
        load(of_v, v, start, keys, width);
        __syncthreads();
        bool seen = row < queries && start + j < keys && !(causal && start + j > row);
        float p = seen ? expf(dot(of_q[i], of_k[j], width) - whole) : 0;
        weights[i][j] = seen ? p * (dot(of_dy[i], of_v[j], width) - mean) : 0;
        __syncwarp();
        add(sums, weights[i], of_k, width);
        __syncthreads();
    }
    store(dq + mine, sums, scale, row, queries, width);
}

// Three blocks a processor: asked for more, the compiler spills on sm_80
extern "C" __global__ __launch_bounds__(256, 3) void attention_of_keys(const float* q, const float* k, const float* v,
                                                                       const float* dy, const float* log_sum, const float* fall,
                                                                       float* dk, float* dv, int queries, int keys, int width,
                                                                       float scale, int causal) {
    __shared__ Tile of_q[SIDE], of_k[SIDE], of_v[SIDE], of_dy[SIDE];
    __shared__ float weights[SIDE][SIDE + 1], slopes[SIDE][SIDE + 1];
    int tiles = (keys + SIDE - 1) / SIDE, head = blockIdx.x / tiles, first = blockIdx.x % tiles * SIDE;
    int i = threadIdx.y, j = threadIdx.x, row = first + i;
    size_t mine = size_t(head) * keys * width, theirs = size_t(head) * queries;
    load(of_k, k + mine, first, keys, width);
    load(of_v, v + mine, first, keys, width);
    float sums_k[EACH] = {}, sums_v[EACH] = {};
    for (int start = causal ? first : 0; start < queries; start += SIDE) {
        load(of_q, q + theirs * width, start, queries, width, scale);
        load(of_dy, dy + theirs * width, start, queries, width);
        __syncthreads();
        int query = start + j;
        bool seen = row < keys && query < queries && !(causal && row > query);
        float p = seen ? expf(dot(of_q[j], of_k[i], width) - log_sum[theirs + query]) : 0;
        weights[i][j] = p;
        slopes[i][j] = seen ? p * (dot(of_dy[j], of_v[i], width) - fall[theirs + query]) : 0;
        __syncwarp();
        add(sums_v, weights[i], of_dy, width);
        add(sums_k, slopes[i], of_q, width);
        __syncthreads();
    }
    store(dk + mine, sums_k, 1, row, keys, width);
    store(dv + mine, sums_v, 1, row, keys, width);
}
