// The input gradient of a convolution, rung 3 of 3: an implicit matrix product for each phase of the stride.
//
//     dx[(n, h, w), c] = f(sum over (r, s, m) of dy[n, p, q, m] k[r, s, c, m] + bias[c])
//
// over the p, q that meet h, w: p stride + r dilation - padding = h, q likewise.
//
// Against im2col.cu: dy is looked up where h, w meet it (implicit.cuh). With a stride, h meets only the taps r that leave no rest,
// r = h + padding mod stride; to try them all would multiply by zeros, three quarters of the time at stride 2. So the rows h
// and the columns w are taken in phases, those of equal rest together: a matrix product of its own with the taps that belong to
// it. With a dilation there is one phase, and taps that do not fit give zeros. blockIdx.z counts the phases of every part of k.
// A transposed convolution is this pass used forward, and its bias and activation ride along.
// Predicted: 60 to 80 % of a tuned library in the same precision; 3 to 4 times as fast as without phases at stride 2.
//
// Error: float32 K u sum |a b| with K products in a sum, u = 2^-24; tf32 adds 2^-10 sum |a b|, bf16 2^-7.
//
// Legend: N images, H, W, C of x, Ho, Wo, M of y, kernels k (kh, kw, C, M), bias (C,) or null; dx, or (parts, ...) of it where
// several blocks share out k. Block: 256 and tiles of 128 with LARGE, else 128 and 64.
//
// architectures: sm_80 sm_90
// options: LARGE=0,1 PRECISION=0,1,2
// registers: 255
// registers with LARGE=0: 168
// registers with PRECISION=1,2: 168
// instructions: LDGSTS LDS
// instructions with PRECISION=0: FFMA LDS.128
// instructions with PRECISION=1: HMMA.1688.F32.TF32
// instructions with PRECISION=2: HMMA.16816.F32.BF16

#include "implicit.cuh"

// One phase along one axis: pixels first, first + step ..., and the taps that meet them.
struct Phase {
    int first, step, many;      // pixels
    int tap, tap_step, taps;
    __device__ __forceinline__ Phase(int rest, int phases, int size, int kernel, int pad)
        : first(rest), step(phases), many((size - rest + phases - 1) / phases), tap((rest + pad) % phases), tap_step(phases),
          taps((kernel - tap + phases - 1) / phases) {
        if (taps < 0) taps = 0;
        if (many < 0) many = 0;
    }
};

// dy[(n, h, w), (r, s, m)], over a phase's pixels and taps
struct Meetings {
    static const bool ALONG_K = true;
    const float* base;
    int out_h, out_w, outputs, pad_h, pad_w, dilation_h, dilation_w, rows, end;
    bool quads;
    Phase of_h, of_w;
    Pixels pixels;
    Divisor by_outputs, by_taps, by_stride_h, by_stride_w;

    struct Place {
        const float* image;
        int h, w;  // with the padding
    };
    __device__ __forceinline__ Place place(int row) const {
        int n, i, j;
        pixels.find(row, n, i, j);
        return {row < rows ? base + size_t(n) * out_h * out_w * outputs : nullptr, of_h.first + i * of_h.step + pad_h,
                of_w.first + j * of_w.step + pad_w};
    }
    __device__ __forceinline__ const float* find(Place place, int k) const {
        int tap = by_outputs.quotient(k), m = by_outputs.remainder(k, tap);
        int i = by_taps.quotient(tap), j = by_taps.remainder(tap, i);
        int h = place.h - (of_h.tap + i * of_h.tap_step) * dilation_h, w = place.w - (of_w.tap + j * of_w.tap_step) * dilation_w;
        if (!place.image || k >= end || h < 0 || w < 0) return nullptr;
        int p = by_stride_h.quotient(h), q = by_stride_w.quotient(w);
        bool met = by_stride_h.remainder(h, p) == 0 && by_stride_w.remainder(w, q) == 0 && p < out_h && q < out_w;
        return met ? place.image + (size_t(p) * out_w + q) * outputs + m : nullptr;
    }
};

// k[(r, s, m), c] of the phase's taps, along m
struct Taps {
    static const bool ALONG_K = true;
    const float* base;
    int channels, outputs, kernel_w, end;
    bool quads;
    Phase of_h, of_w;
    Divisor by_outputs, by_taps;

    struct Place {
        const float* start;
    };
    __device__ __forceinline__ Place place(int c) const { return {c < channels ? base + size_t(c) * outputs : nullptr}; }
    __device__ __forceinline__ const float* find(Place place, int k) const {
        int tap = by_outputs.quotient(k), m = by_outputs.remainder(k, tap);
        int i = by_taps.quotient(tap), j = by_taps.remainder(tap, i);
        int r = of_h.tap + i * of_h.tap_step, s = of_w.tap + j * of_w.tap_step;
        return place.start && k < end ? place.start + size_t(r * kernel_w + s) * channels * outputs + m : nullptr;
    }
};

// A phase's rows lie apart in dx.
struct Apart {
    Epilogue epilogue;  // of dx (N H W, C)
    int height, width, rows;
    Phase of_h, of_w;
    Pixels pixels;
    template <int TOGETHER> __device__ __forceinline__ void store(int row, int c, const float* sums) const {
        if (row >= rows) return;
        int n, i, j;
        pixels.find(row, n, i, j);
        epilogue.store<TOGETHER>((n * height + of_h.first + i * of_h.step) * width + of_w.first + j * of_w.step, c, sums);
    }
};

extern "C" __global__ __launch_bounds__(Multiplier::THREADS) void conv2d_implicit_input_gradient(
    const float* dy, const float* k, float* dx, const float* bias, int images, int height, int width, int channels, int kernel_h, int kernel_w,
    int outputs, int out_h, int out_w, int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w,
    int phases_h, int phases_w, float slope) {
    extern __shared__ __align__(16) float memory[];
    int phases = phases_h * phases_w, phase = blockIdx.z % phases, part = blockIdx.z / phases;
    Phase of_h(phase / phases_w, phases_h, height, kernel_h, pad_h), of_w(phase % phases_w, phases_w, width, kernel_w, pad_w);
    int rows = images * of_h.many * of_w.many, depth = of_h.taps * of_w.taps * outputs;
    if (int(blockIdx.x) * Multiplier::ROWS >= rows) return;  // a phase with fewer pixels than the first
    Share share(depth, Multiplier::DEPTH, part, gridDim.z / phases);
    bool quads = in_quads(dy, outputs) && in_quads(k, outputs);
    Divisor by_outputs(outputs), by_taps(max(1, of_w.taps));
    Pixels pixels(of_h.many, of_w.many);
    Meetings meetings{dy, out_h, out_w, outputs, pad_h, pad_w, dilation_h, dilation_w, rows, share.end, quads, of_h, of_w, pixels,
                      by_outputs, by_taps, Divisor(stride_h), Divisor(stride_w)};
    Taps taps{k, channels, outputs, kernel_w, share.end, quads, of_h, of_w, by_outputs, by_taps};
    Epilogue epilogue(dx, bias, images * height * width, channels, slope, 0, part, gridDim.z / phases);
    Apart apart{epilogue, height, width, rows, of_h, of_w, pixels};
    main_loop<Multiplier>(meetings, taps, apart, blockIdx.x * Multiplier::ROWS, blockIdx.y * Multiplier::COLUMNS, share.begin,
                          share.end, memory);
}
