// Convolution and its two gradients, rung 1 of 3: one thread, one number of the result.
//
//     y[n, p, q, m]  = sum over r, s, c of  x[n, h, w, c] k[r, s, c, m]       h = p stride + r dilation - padding, w likewise
//     dx[n, h, w, c] = sum over r, s, m of dy[n, p, q, m] k[r, s, c, m]       over the p, q that lie at h, w through tap r, s
//     dk[r, s, c, m] = sum over n, p, q of  x[n, h, w, c] dy[n, p, q, m]
//
// The three sums as they stand. Threads are numbered along the last axis, so that the 32 of a warp read 32 neighbours of k or
// dy, or of x, in one piece. It is the definition of the other rungs, and what groups run on: with groups, m's run of outputs
// meets its run of `channels / groups` inputs alone.
// dx gathers, it does not scatter: no two threads add to one number, so there are no atomics, and the sum has one order.
// Predicted: 5 to 10 % of a tuned library; half of it with many groups, where there is little to share.
//
// Error: sums of K products in order, K = kh kw C / groups, kh kw M / groups, or N Ho Wo: at most K u sum |a b|, u = 2^-24.
//
// Legend: N images, H, W, C of x, Ho, Wo, M of y, kernels (kh, kw, C / groups, M). Block: 256. Grid: numbers / 256, rounded up.
//
// architectures: sm_80 sm_90
// registers: 96
// instructions: FFMA LDG.E STG.E

extern "C" __global__ __launch_bounds__(256) void conv2d_direct_forward(
    const float* x, const float* k, float* y, int images, int height, int width, int channels, int kernel_h, int kernel_w,
    int outputs, int out_h, int out_w, int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w,
    int groups) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (long long)images * out_h * out_w * outputs) return;
    int m = int(at % outputs), q = int(at / outputs % out_w), p = int(at / outputs / out_w % out_h);
    long long n = at / outputs / out_w / out_h;
    int inputs = channels / groups, first = m / (outputs / groups) * inputs;
    float sum = 0;
    for (int r = 0; r < kernel_h; r++) {
        int h = p * stride_h + r * dilation_h - pad_h;
        if (h < 0 || h >= height) continue;
        for (int s = 0; s < kernel_w; s++) {
            int w = q * stride_w + s * dilation_w - pad_w;
            if (w < 0 || w >= width) continue;
            const float* pixel = x + ((n * height + h) * width + w) * channels + first;
            const float* tap = k + size_t(r * kernel_w + s) * inputs * outputs + m;
            for (int c = 0; c < inputs; c++) sum += pixel[c] * tap[size_t(c) * outputs];
        }
    }
    y[at] = sum;
}

extern "C" __global__ __launch_bounds__(256) void conv2d_direct_input_gradient(
    const float* dy, const float* k, float* dx, int images, int height, int width, int channels, int kernel_h, int kernel_w,
    int outputs, int out_h, int out_w, int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w,
    int groups) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (long long)images * height * width * channels) return;
    int c = int(at % channels), w = int(at / channels % width), h = int(at / channels / width % height);
    long long n = at / channels / width / height;
    int inputs = channels / groups, run = outputs / groups, first = c / inputs * run;
    float sum = 0;
    for (int r = 0; r < kernel_h; r++) {
        int p = h + pad_h - r * dilation_h;
        if (p < 0 || p % stride_h || p / stride_h >= out_h) continue;
        for (int s = 0; s < kernel_w; s++) {
            int q = w + pad_w - s * dilation_w;
            if (q < 0 || q % stride_w || q / stride_w >= out_w) continue;
            const float* pixel = dy + ((n * out_h + p / stride_h) * out_w + q / stride_w) * outputs + first;
            const float* tap = k + (size_t(r * kernel_w + s) * inputs + c % inputs) * outputs + first;
            for (int m = 0; m < run; m++) sum += pixel[m] * tap[m];
        }
    }
    dx[at] = sum;
}

extern "C" __global__ __launch_bounds__(256) void conv2d_direct_weight_gradient(
    const float* x, const float* dy, float* dk, int images, int height, int width, int channels, int kernel_h, int kernel_w,
    int outputs, int out_h, int out_w, int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w,
    int groups, int accumulate) {
    int inputs = channels / groups;
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (long long)kernel_h * kernel_w * inputs * outputs) return;
    int m = int(at % outputs), c = int(at / outputs % inputs), s = int(at / outputs / inputs % kernel_w);
    int r = int(at / outputs / inputs / kernel_w), channel = m / (outputs / groups) * inputs + c;
    float sum = 0;
    for (int n = 0; n < images; n++)
        for (int p = 0; p < out_h; p++) {
            int h = p * stride_h + r * dilation_h - pad_h;
            if (h < 0 || h >= height) continue;
            for (int q = 0; q < out_w; q++) {
                int w = q * stride_w + s * dilation_w - pad_w;
                if (w < 0 || w >= width) continue;
                sum += x[((size_t(n) * height + h) * width + w) * channels + channel] *
                       dy[((size_t(n) * out_h + p) * out_w + q) * outputs + m];
            }
        }
    dk[at] = accumulate ? dk[at] + sum : sum;
}
