// Upsampling by a factor f and its transpose: nearest and bilinear, one thread a number of the result.
//
//     nearest     y[i, j] = x[i / f, j / f]                  dx[k, l] = sum of the f x f numbers dy that it became
//     bilinear    y[i, j] = sum over k, l of w(i, k) w(j, l) x[k, l]         dx[k, l] = the same sum over i, j of dy
//
// With i = f k + p, d = (p + 1/2) / f - 1/2: w(i, k) = 1 - |d|, and |d| at the neighbour on the side of d, beyond the edge at the
// edge pixel. The transpose gathers as well: a pixel looks for the outputs that it reached, f k - f .. f k + 2 f - 1 at most, so
// no two threads write one number, and the sum has one order.
// Predicted: bound by memory for f = 2, 80 % of its speed there, half of that back.
//
// Error: nearest none there; sums of at most 9 f^2 products, each weight within 2 u, u = 2^-24.
//
// Legend: N images, H, W, C of x; y (N, f H, f W, C). Block: 256. Grid: numbers of the result / 256, rounded up.
//
// architectures: sm_80 sm_90
// registers: 56
// instructions: LDG.E STG.E

struct Pixel {  // of an image of this size, the number at a place of the flat array
    int c, w, h;
    long long image;
    __device__ __forceinline__ Pixel(long long at, int height, int width, int channels) {
        c = int(at % channels);
        w = int(at / channels % width);
        h = int(at / channels / width % height);
        image = at / channels / width / height;
    }
};

__device__ __forceinline__ float offset(int i, int f) { return (i % f + 0.5f) / f - 0.5f; }
__device__ __forceinline__ int neighbour(int i, int f, int size) {
    return offset(i, f) < 0 ? max(i / f - 1, 0) : min(i / f + 1, size - 1);
}
__device__ __forceinline__ float weight(int i, int k, int f, int size) {
    float d = fabsf(offset(i, f));
    return (i / f == k ? 1 - d : 0) + (neighbour(i, f, size) == k ? d : 0);
}

extern "C" __global__ __launch_bounds__(256) void nearest(const float* x, float* y, long long numbers, int height, int width,
                                                          int channels, int f) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= numbers) return;
    Pixel to(at, f * height, f * width, channels);
    y[at] = x[((to.image * height + to.h / f) * width + to.w / f) * channels + to.c];
}

extern "C" __global__ __launch_bounds__(256) void nearest_transposed(const float* dy, float* dx, long long numbers, int height,
                                                                     int width, int channels, int f) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= numbers) return;
    Pixel to(at, height, width, channels);
    float sum = 0;
    for (int i = f * to.h; i < f * to.h + f; i++)
        for (int j = f * to.w; j < f * to.w + f; j++)
            sum += dy[((to.image * f * height + i) * f * width + j) * channels + to.c];
    dx[at] = sum;
}

extern "C" __global__ __launch_bounds__(256) void bilinear(const float* x, float* y, long long numbers, int height, int width,
                                                           int channels, int f) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= numbers) return;
    Pixel to(at, f * height, f * width, channels);
    int rows[2] = {to.h / f, neighbour(to.h, f, height)}, columns[2] = {to.w / f, neighbour(to.w, f, width)};
    float down = fabsf(offset(to.h, f)), across = fabsf(offset(to.w, f)), sum = 0;
#pragma unroll
    for (int a = 0; a < 2; a++)
#pragma unroll
        for (int b = 0; b < 2; b++)
            sum += (a ? down : 1 - down) * (b ? across : 1 - across) *
                   x[((to.image * height + rows[a]) * width + columns[b]) * channels + to.c];
    y[at] = sum;
}

extern "C" __global__ __launch_bounds__(256) void bilinear_transposed(const float* dy, float* dx, long long numbers, int height,
                                                                      int width, int channels, int f) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= numbers) return;
    Pixel to(at, height, width, channels);
    float sum = 0;
    for (int i = max(0, f * to.h - f); i < min(f * height, f * to.h + 2 * f); i++) {
        float down = weight(i, to.h, f, height);
        if (down == 0) continue;
        for (int j = max(0, f * to.w - f); j < min(f * width, f * to.w + 2 * f); j++) {
            float both = down * weight(j, to.w, f, width);
            if (both != 0) sum += both * dy[((to.image * f * height + i) * f * width + j) * channels + to.c];
        }
    }
    dx[at] = sum;
}
