// The weight gradient of a convolution, rung 3 of 3: an implicit matrix product with a long k, shared out.
//
//     dk[(r, s, c), m] = sum over (n, p, q) of windows[(n, p, q), (r, s, c)] dy[(n, p, q), m]
//
// Against im2col.cu: the windows are looked up in x (implicit.cuh), here along c, the first matrix's other axis. dk is small and k
// is long, all pixels of all images: a few blocks would do the work of the whole processor. So gridDim.z parts share out the
// pixels, each writes its own sums, and `sum_of_parts` adds them in order, with accumulation: the same bits every time.
// Predicted: 60 to 80 % of a tuned library in the same precision.
//
// Error: float32 K u sum |a b| with K products in a sum, u = 2^-24; tf32 adds 2^-10 sum |a b|, bf16 2^-7.
//
// Legend: N images, H, W, C of x, Ho, Wo, M of y, kernels k (kh, kw, C, M). Block: 256 and tiles of 128 with LARGE, else 128 and 64.
//
// architectures: sm_80 sm_90
// options: LARGE=0,1 PRECISION=0,1,2
// registers: 232
// registers with LARGE=0: 168
// registers with PRECISION=1,2: 168
// instructions: LDGSTS LDS
// instructions with PRECISION=0: FFMA LDS.128
// instructions with PRECISION=1: HMMA.1688.F32.TF32
// instructions with PRECISION=2: HMMA.16816.F32.BF16

#include "implicit.cuh"

// windows[(n, p, q), (r, s, c)], turned: along (r, s, c)
struct Windows {
    static const bool ALONG_K = false;
    const float* base;
    int height, width, channels, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, rows, end;
    bool quads;
    Pixels pixels;
    Divisor by_channels, by_kernel;

    struct Place {
        int h, w, c;  // where the tap lies in a window; c < 0 beyond the last row
    };
    __device__ __forceinline__ Place place(int row) const {
        int tap = by_channels.quotient(row), c = by_channels.remainder(row, tap);
        int r = by_kernel.quotient(tap), s = by_kernel.remainder(tap, r);
        return {r * dilation_h - pad_h, s * dilation_w - pad_w, row < rows ? c : -1};
    }
    __device__ __forceinline__ const float* find(Place place, int k) const {
        int n, p, q;
        pixels.find(k, n, p, q);
        int h = p * stride_h + place.h, w = q * stride_w + place.w;
        bool inside = place.c >= 0 && k < end && h >= 0 && h < height && w >= 0 && w < width;
        return inside ? base + ((size_t(n) * height + h) * width + w) * channels + place.c : nullptr;
    }
};

extern "C" __global__ __launch_bounds__(Multiplier::THREADS) void conv2d_implicit_weight_gradient(
    const float* x, const float* dy, float* dk, const float* no_bias, int images, int height, int width, int channels, int kernel_h, int kernel_w,
    int outputs, int out_h, int out_w, int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w,
    float slope, int accumulate) {
    extern __shared__ __align__(16) float memory[];
    int rows = kernel_h * kernel_w * channels, depth = images * out_h * out_w;
    Share share(depth, Multiplier::DEPTH, blockIdx.z, gridDim.z);
    Windows windows{x,     height,     width,      channels, stride_h,  stride_w,              pad_h,
                    pad_w, dilation_h, dilation_w, rows,     share.end, in_quads(x, channels), Pixels(out_h, out_w),
                    Divisor(channels), Divisor(kernel_w)};
    Matrix<false> pixels(dy, outputs, depth, share.end);
    Epilogue epilogue(dk, no_bias, rows, outputs, slope, accumulate, blockIdx.z, gridDim.z);
    main_loop<Multiplier>(windows, pixels, epilogue, blockIdx.x * Multiplier::ROWS, blockIdx.y * Multiplier::COLUMNS, share.begin,
                          share.end, memory);
}
