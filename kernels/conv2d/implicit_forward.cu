// Convolution, rung 3 of 3: an implicit matrix product.
//
//     y[(n, p, q), m] = f(sum over (r, s, c) of windows[(n, p, q), (r, s, c)] k[(r, s, c), m] + bias[m])
//
// Against im2col.cu: the matrix of windows is not written but looked up in x, tile by tile (implicit.cuh). k needs no change: as it
// lies in memory, (kh, kw, C, M), it is the second matrix. Bias and activation ride along. PRECISION 1 and 2 are tensor cores.
// Predicted: 60 to 80 % of a tuned library in the same precision, without workspace.
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

// windows[(n, p, q), (r, s, c)]
struct Windows {
    static const bool ALONG_K = true;
    const float* base;
    int height, width, channels, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, rows, end;
    bool quads;
    Pixels pixels;
    Divisor by_channels, by_kernel;

    struct Place {
        const float* image;  // null beyond the last row
        int h, w;            // of x: where tap (0, 0) lies, perhaps outside
    };
    __device__ __forceinline__ Place place(int row) const {
        int n, p, q;
        pixels.find(row, n, p, q);
        return {row < rows ? base + size_t(n) * height * width * channels : nullptr, p * stride_h - pad_h, q * stride_w - pad_w};
    }
    __device__ __forceinline__ const float* find(Place place, int k) const {
        int tap = by_channels.quotient(k), c = by_channels.remainder(k, tap);
        int r = by_kernel.quotient(tap), s = by_kernel.remainder(tap, r);
        int h = place.h + r * dilation_h, w = place.w + s * dilation_w;
        bool inside = place.image && k < end && h >= 0 && h < height && w >= 0 && w < width;
        return inside ? place.image + (size_t(h) * width + w) * channels + c : nullptr;
    }
};

extern "C" __global__ __launch_bounds__(Multiplier::THREADS) void conv2d_implicit_forward(
    const float* x, const float* k, float* y, const float* bias, int images, int height, int width, int channels, int kernel_h, int kernel_w,
    int outputs, int out_h, int out_w, int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w,
    float slope) {
    extern __shared__ __align__(16) float memory[];
    int rows = images * out_h * out_w, depth = kernel_h * kernel_w * channels;
    Share share(depth, Multiplier::DEPTH, blockIdx.z, gridDim.z);
    Windows windows{x,          height,     width, channels,  kernel_w,               stride_h,
                    stride_w,   pad_h,      pad_w, dilation_h, dilation_w,            rows,
                    share.end,  in_quads(x, channels), Pixels(out_h, out_w), Divisor(channels), Divisor(kernel_w)};
    Matrix<false> kernels(k, outputs, depth, share.end);
    Epilogue epilogue(y, bias, rows, outputs, slope, 0, blockIdx.z, gridDim.z);
    main_loop<Multiplier>(windows, kernels, epilogue, blockIdx.x * Multiplier::ROWS, blockIdx.y * Multiplier::COLUMNS, share.begin,
                          share.end, memory);
}
