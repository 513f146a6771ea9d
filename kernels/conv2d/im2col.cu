// Convolution by a matrix product, rung 2 of 3: the windows written out as the rows of a matrix.
//
//     windows[(n, p, q), (r, s, c)] = x[n, p stride + r dilation - padding, ..., c],   zero outside the image
//
//     y = windows k          dk = windows' dy          dwindows = dy k',  and dx adds up the windows that it lies in
//
// Against direct.cu: all the arithmetic is the matrix product's, at its speed. The price is memory: every number of x is written
// kh kw / stride^2 times and read again, which costs more time than the product where there are few channels.
// `gather_windows` writes a window's number for each thread, along c, in one piece. `add_windows` is its transpose, and gathers
// too: a thread adds up what belongs to one number of dx, in one order, without atomics.
// Predicted: 15 to 25 % of a tuned library.
//
// Error: `gather_windows` is exact; `add_windows` adds kh kw numbers, (kh kw - 1) u sum |dwindows|, u = 2^-24.
//
// Legend: N images, H, W, C of x, Ho, Wo of y, kernels (kh, kw, C, M). windows (N Ho Wo, kh kw C). Block: 256. Grid: numbers / 256.
//
// architectures: sm_80 sm_90
// registers: 64
// instructions: LDG.E STG.E
// instructions of add_windows: FADD

extern "C" __global__ __launch_bounds__(256) void gather_windows(const float* x, float* windows, int images, int height, int width,
                                                                 int channels, int kernel_h, int kernel_w, int out_h, int out_w,
                                                                 int stride_h, int stride_w, int pad_h, int pad_w,
                                                                 int dilation_h, int dilation_w) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    int length = kernel_h * kernel_w * channels;
    if (at >= (long long)images * out_h * out_w * length) return;
    int inside = int(at % length), c = inside % channels, s = inside / channels % kernel_w, r = inside / channels / kernel_w;
    long long row = at / length, n = row / out_w / out_h;
    int h = int(row / out_w % out_h) * stride_h + r * dilation_h - pad_h, w = int(row % out_w) * stride_w + s * dilation_w - pad_w;
    bool within = h >= 0 && h < height && w >= 0 && w < width;
    windows[at] = within ? x[((n * height + h) * width + w) * channels + c] : 0;
}

extern "C" __global__ __launch_bounds__(256) void add_windows(const float* windows, float* dx, int images, int height, int width,
                                                              int channels, int kernel_h, int kernel_w, int out_h, int out_w,
                                                              int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h,
                                                              int dilation_w) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (long long)images * height * width * channels) return;
    int c = int(at % channels), w = int(at / channels % width), h = int(at / channels / width % height);
    long long n = at / channels / width / height;
    float sum = 0;
    for (int r = 0; r < kernel_h; r++) {
        int p = h + pad_h - r * dilation_h;
        if (p < 0 || p % stride_h || p / stride_h >= out_h) continue;
        for (int s = 0; s < kernel_w; s++) {
            int q = w + pad_w - s * dilation_w;
            if (q < 0 || q % stride_w || q / stride_w >= out_w) continue;
            long long row = (n * out_h + p / stride_h) * out_w + q / stride_w;
            sum += windows[((row * kernel_h + r) * kernel_w + s) * channels + c];
        }
    }
    dx[at] = sum;
}
