// Windows cut out of images, one thread a number of a window.
//
//     y[n, i, j] = x[n, i + t_n, j + l_n], and 0 outside x            t = sign top, l = sign left
//
// Against an array library: rows and columns of every image as arrays of indices, four comparisons, a gather, a conversion and a
// product, some fifteen launches. Here a thread finds its image, reads the two numbers that say where its window lies (which its
// neighbours have in their cache), and moves one number. A row of pixels is one axis of w C numbers, a step by one column C of them.
// Predicted: bound by memory, 80 % of its speed.
//
// Error: none.
//
// Legend: N images, H, W size (height, width), C channels, h, w size of a window (tall, wide). x (N, H, W, C), y (N, h, w, C),
// top, left (N,). Block: 256. Grid: numbers of y / 256, rounded up.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: LDG.E LDG.E.64 STG.E

extern "C" __global__ __launch_bounds__(256) void window_cut(const float* x, const long long* top, const long long* left, float* y,
                                                             long long numbers, int height, int width, int channels, int tall,
                                                             int wide, int sign) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= numbers) return;
    int across = width * channels, across_y = wide * channels;
    long long row = at / across_y, n = row / tall;
    long long i = row % tall + sign * top[n], j = at % across_y + sign * left[n] * channels;
    bool inside = i >= 0 && i < height && j >= 0 && j < across;
    y[at] = inside ? x[(n * height + i) * across + j] : 0.0f;
}
