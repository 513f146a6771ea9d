// The matrix W = P (L + 1) U of an invertible convolution from its packed factors, its inverse, and the way back to them.
//
//     L = tril(A, -1),  U = triu(A, 1) + diag(sign e^s),  s = diag(A),  P a permutation
//     forward     W = P (L + 1) U,  logdet = positions sum s, the same for all rows
//     inverse     X = U^-1 (L + 1)^-1 P',  then X + U^-1 (L + 1)^-1 P' (1 - W X), since W was rounded after its factors
//     gradient    D = P' dW,  dA below the diagonal D U', above it (L + 1)' D, on it that times U + positions sum dlogdet
//
// A number of W and of dA is a thread's, a column of the inverse too: it goes down through L and up through U, asks W how far it is
// off, and goes once more. Sums are in double. P is not multiplied with: where the 1 of its row stands, there a row comes from.
// logdet and the sum of dlogdet are made by every thread that needs them: they are short, and lie in the cache.
// Against an array library: a launch each, where fifteen, twelve and some seven for each channel wait for one another.
// Predicted: the time of a launch; the inverse 2 C C steps one after the other, each of some 30 cycles, 3 us of 8 channels.
//
// Error: with expf within 2 units in the last place, of W 6 u (|L| + 1) |U|; of logdet u of itself and of the sum of |s|. The
// inverse is that of W to 2 u of itself, where the condition of its factors times C u is below 1e-3. Of dA 6 u of the sums of the
// absolute values that it adds up. u = 2^-24.
//
// Legend: C channels, N rows. A, W, X, left, dW, dA, P (C, C), sign (C,), logdet, dlogdet (N,). forward: a thread for each of
// max(C C, N), gradient: for each of C C, 256 a block; inverse: for each of C columns, 32 a block.
//
// architectures: sm_80 sm_90
// registers: 72
// instructions: LDG.E STG.E MUFU.EX2

__device__ __forceinline__ float upper(const float* A, const float* sign, int channels, int k, int j) {
    float a = A[k * channels + j];
    return k == j ? sign[k] * expf(a) : a;
}

// Where the 1 stands among `channels` numbers, each a step after the other: in a row of P or, with a step of C, in a column.
__device__ __forceinline__ int place_of_one(const float* P, int channels, int step) {
    int at = 0;
    while (at < channels - 1 && P[at * step] == 0) at++;
    return at;
}

// Column j of (U^-1 (L + 1)^-1) y, in the place of y.
__device__ __forceinline__ void solve(const float* A, const float* sign, int channels, float* column) {
    for (int r = 0; r < channels; r++) {
        double sum = column[r * channels];
        for (int k = 0; k < r; k++) sum -= double(A[r * channels + k]) * column[k * channels];
        column[r * channels] = float(sum);
    }
    for (int r = channels - 1; r >= 0; r--) {
        double sum = column[r * channels];
        for (int k = r + 1; k < channels; k++) sum -= double(A[r * channels + k]) * column[k * channels];
        column[r * channels] = float(sum / upper(A, sign, channels, r, r));
    }
}

extern "C" __global__ __launch_bounds__(256) void plu_forward(const float* A, const float* P, const float* sign, float* W,
                                                              float* logdet, int channels, int positions, int rows) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < channels * channels) {
        int i = at / channels, j = at % channels, r = place_of_one(P + i * channels, channels, 1);
        double sum = r <= j ? upper(A, sign, channels, r, j) : 0.0f;
        for (int k = 0; k < min(r, j + 1); k++) sum += double(A[r * channels + k]) * upper(A, sign, channels, k, j);
        W[at] = float(sum);
    }
    if (at < rows) {
        double sum = 0;
        for (int c = 0; c < channels; c++) sum += A[c * channels + c];
        logdet[at] = float(positions * sum);
    }
}

extern "C" __global__ __launch_bounds__(32) void plu_inverse(const float* W, const float* A, const float* P, const float* sign,
                                                             float* X, float* left, int channels) {
    int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= channels) return;
    float *x = X + j, *rest = left + j;  // their columns j, a number in each row
    for (int r = 0; r < channels; r++) x[r * channels] = P[j * channels + r];
    solve(A, sign, channels, x);
    for (int i = 0; i < channels; i++) {
        double sum = i == j;
        for (int k = 0; k < channels; k++) sum -= double(W[i * channels + k]) * x[k * channels];
        rest[place_of_one(P + i * channels, channels, 1) * channels] = float(sum);
    }
    solve(A, sign, channels, rest);
    for (int r = 0; r < channels; r++) x[r * channels] += rest[r * channels];
}

extern "C" __global__ __launch_bounds__(256) void plu_gradient(const float* dW, const float* dlogdet, const float* A,
                                                               const float* P, const float* sign, float* dA, int channels,
                                                               int positions, int rows) {
    extern __shared__ int from[];  // row r of D is row from[r] of dW
    for (int r = threadIdx.x; r < channels; r += blockDim.x) from[r] = place_of_one(P + r, channels, channels);
    __syncthreads();
    int at = blockIdx.x * blockDim.x + threadIdx.x, r = at / channels, c = at % channels;
    if (r >= channels) return;
    double sum = 0;
    if (c < r) {
        const float* d = dW + from[r] * channels;
        for (int j = c; j < channels; j++) sum += double(d[j]) * upper(A, sign, channels, c, j);
    } else {
        sum = dW[from[r] * channels + c];
        for (int k = r + 1; k < channels; k++) sum += double(A[k * channels + r]) * dW[from[k] * channels + c];
    }
    if (c == r) {
        double stretch = 0;
        for (int n = 0; n < rows; n++) stretch += dlogdet[n];
        sum = sum * upper(A, sign, channels, r, r) + positions * stretch;
    }
    dA[at] = float(sum);
}
