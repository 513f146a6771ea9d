// Pooling and its transpose, one thread a number of the result.
//
//     mean       y = sum of the window / number of taps         dx = sum of the dy of the windows that it lies in / number of taps
//     maximum    y = the largest of the window                  dx = sum of the dy of the windows that it won
//
// A tap is a place inside the window, r kw + s. Pixels of the frame count as zeros in a mean and never win. Of equal numbers the
// first wins; a NaN wins over all. `picked_pool` is the map that the winners fix, for tangents. The transpose gathers, in one
// order, as the input gradient of a convolution does.
// Predicted: bound by memory, 80 % of its speed for windows side by side.
//
// Error: of the mean, and of dx, a sum of at most kh kw numbers: kh kw u of the sum of the absolute values, u = 2^-24.
//
// Legend: N images, H, W, C of x, Ho, Wo of y, kh, kw of a window. winner (N, Ho, Wo, C), the tap. Block: 256. Grid: numbers / 256.
//
// architectures: sm_80 sm_90
// registers: 56
// instructions: LDG.E STG.E

extern "C" __global__ __launch_bounds__(256) void average_pool(
    const float* x, float* y, long long numbers, int height, int width,
    int channels, int kernel_h, int kernel_w, int out_h, int out_w, int stride_h, int stride_w, int pad_h, int pad_w) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= numbers) return;
    int c = int(at % channels), q = int(at / channels % out_w), p = int(at / channels / out_w % out_h);
    long long n = at / channels / out_w / out_h;
    float sum = 0;
    for (int r = 0; r < kernel_h; r++) {
        int h = p * stride_h + r - pad_h;
        if (h < 0 || h >= height) continue;
        for (int s = 0; s < kernel_w; s++) {
            int w = q * stride_w + s - pad_w;
            if (w < 0 || w >= width) continue;
            sum += x[((n * height + h) * width + w) * channels + c];
        }
    }
    y[at] = sum / (kernel_h * kernel_w);
}

extern "C" __global__ __launch_bounds__(256) void average_pool_transposed(
    const float* dy, float* dx, long long numbers, int height, int width,
    int channels, int kernel_h, int kernel_w, int out_h, int out_w, int stride_h, int stride_w, int pad_h, int pad_w) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= numbers) return;
    int c = int(at % channels), w = int(at / channels % width), h = int(at / channels / width % height);
    long long n = at / channels / width / height;
    float sum = 0;
    for (int r = 0; r < kernel_h; r++) {
        int p = h + pad_h - r;
        if (p < 0 || p % stride_h || p / stride_h >= out_h) continue;
        for (int s = 0; s < kernel_w; s++) {
            int q = w + pad_w - s;
            if (q < 0 || q % stride_w || q / stride_w >= out_w) continue;
            long long from = ((n * out_h + p / stride_h) * out_w + q / stride_w) * channels + c;
            sum += dy[from];
        }
    }
    dx[at] = sum / (kernel_h * kernel_w);
}

extern "C" __global__ __launch_bounds__(256) void max_pool(
    const float* x, float* y, int* winner, long long numbers, int height, int width,
    int channels, int kernel_h, int kernel_w, int out_h, int out_w, int stride_h, int stride_w, int pad_h, int pad_w) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= numbers) return;
    int c = int(at % channels), q = int(at / channels % out_w), p = int(at / channels / out_w % out_h);
    long long n = at / channels / out_w / out_h;
    float best = __uint_as_float(0xff800000u);  // minus infinity
    int wins = 0;
    for (int r = 0; r < kernel_h; r++) {
        int h = p * stride_h + r - pad_h;
        if (h < 0 || h >= height) continue;
        for (int s = 0; s < kernel_w; s++) {
            int w = q * stride_w + s - pad_w;
            if (w < 0 || w >= width) continue;
            float number = x[((n * height + h) * width + w) * channels + c];
            if (!(number > best || number != number)) continue;
            best = number;
            wins = r * kernel_w + s;
        }
    }
    y[at] = best;
    winner[at] = wins;
}

extern "C" __global__ __launch_bounds__(256) void picked_pool(
    const float* x, const int* winner, float* y, long long numbers, int height, int width,
    int channels, int kernel_h, int kernel_w, int out_h, int out_w, int stride_h, int stride_w, int pad_h, int pad_w) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= numbers) return;
    int c = int(at % channels), q = int(at / channels % out_w), p = int(at / channels / out_w % out_h);
    long long n = at / channels / out_w / out_h;
    int h = p * stride_h + winner[at] / kernel_w - pad_h, w = q * stride_w + winner[at] % kernel_w - pad_w;
    bool met = h >= 0 && h < height && w >= 0 && w < width;
    y[at] = met ? x[((n * height + h) * width + w) * channels + c] : 0;
}

extern "C" __global__ __launch_bounds__(256) void max_pool_transposed(
    const float* dy, const int* winner, float* dx, long long numbers, int height, int width,
    int channels, int kernel_h, int kernel_w, int out_h, int out_w, int stride_h, int stride_w, int pad_h, int pad_w) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= numbers) return;
    int c = int(at % channels), w = int(at / channels % width), h = int(at / channels / width % height);
    long long n = at / channels / width / height;
    float sum = 0;
    for (int r = 0; r < kernel_h; r++) {
        int p = h + pad_h - r;
        if (p < 0 || p % stride_h || p / stride_h >= out_h) continue;
        for (int s = 0; s < kernel_w; s++) {
            int q = w + pad_w - s;
            if (q < 0 || q % stride_w || q / stride_w >= out_w) continue;
            long long from = ((n * out_h + p / stride_h) * out_w + q / stride_w) * channels + c;
            if (winner[from] == r * kernel_w + s) sum += dy[from];
        }
    }
    dx[at] = sum;
}
