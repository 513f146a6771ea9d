// Convolution by a list of taps and its two gradients, as implicit matrix products over the taps alone.
//
//     y[(n, h, w), m]  = sum over (l, c) of x[n, h + r_l, w + s_l, c] k[(l, c), m]
//     dx[(n, h, w), c] = sum over (l, m) of dy[n, h - r_l, w - s_l, m] k[l, c, m]
//     dk[(l, c), m]    = sum over (n, h, w) of x[n, h + r_l, w + s_l, c] dy[(n, h, w), m]
//
// Against a convolution with a mask of zeros (../conv2d/implicit_forward.cu): there a tap is a place in a square, here an entry of a
// table, and what a mask hides is not in it: raster A of 7 x 7 has 24 taps instead of 49. The gathers look a tap up where those of a
// convolution divide by the kernel's width; all else is theirs: the main loop, tiles of 64 or 128, and parts of a long k that
// `sum_of_parts` adds in order. The input gradient is the forward pass over dy with every tap turned round, and k along m.
// Predicted: 60 to 80 % of a tuned library's speed for a kernel of as many taps; half of its time, or less, for a masked one.
//
// Error: float32 K u sum |a b| with K products in a sum, u = 2^-24; tf32 adds 2^-10 sum |a b|, bf16 2^-7.
//
// Legend: N images, H, W, C of x, M of y, L taps, taps (L, 2) of r and s, k (L, C, M). Block: 256 and tiles of 128 with LARGE, else
// 128 and 64.
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

#include "../conv2d/implicit.cuh"

// image[n, h + sign r_l, w + sign s_l, c] as a matrix of (n, h, w) by (l, c)
struct Seen {
    static const bool ALONG_K = true;
    const float* base;
    const int* taps;
    int height, width, channels, sign, rows, end;
    bool quads;
    Pixels pixels;
    Divisor by_channels;

    struct Place {
        const float* image;  // null beyond the last row
        int h, w;
    };
    __device__ __forceinline__ Place place(int row) const {
        int n, h, w;
        pixels.find(row, n, h, w);
        return {row < rows ? base + size_t(n) * height * width * channels : nullptr, h, w};
    }
    __device__ __forceinline__ const float* find(Place place, int k) const {
        if (!place.image || k >= end) return nullptr;
        int l = by_channels.quotient(k), c = by_channels.remainder(k, l);
        int h = place.h + sign * taps[2 * l], w = place.w + sign * taps[2 * l + 1];
        bool inside = h >= 0 && h < height && w >= 0 && w < width;
        return inside ? place.image + (size_t(h) * width + w) * channels + c : nullptr;
    }
};

// k[l, c, m] as a matrix of (l, m) by c, along m
struct Turned {
    static const bool ALONG_K = true;
    const float* base;
    int channels, outputs, end;
    bool quads;
    Divisor by_outputs;

    struct Place {
        const float* start;  // null beyond the last c
    };
    __device__ __forceinline__ Place place(int c) const { return {c < channels ? base + size_t(c) * outputs : nullptr}; }
    __device__ __forceinline__ const float* find(Place place, int k) const {
        int l = by_outputs.quotient(k), m = by_outputs.remainder(k, l);
        return place.start && k < end ? place.start + size_t(l) * channels * outputs + m : nullptr;
    }
};

// x[n, h + r_l, w + s_l, c] as a matrix of (l, c) by (n, h, w), along (l, c)
struct SeenTurned {
    static const bool ALONG_K = false;
    const float* base;
    const int* taps;
    int height, width, channels, rows, end;
    bool quads;
    Pixels pixels;
    Divisor by_channels;

    struct Place {
        int r, s, c;  // c < 0 beyond the last row
    };
    __device__ __forceinline__ Place place(int row) const {
        if (row >= rows) return {0, 0, -1};
        int l = by_channels.quotient(row);
        return {taps[2 * l], taps[2 * l + 1], by_channels.remainder(row, l)};
    }
    __device__ __forceinline__ const float* find(Place place, int k) const {
        int n, h, w;
        pixels.find(k, n, h, w);
        h += place.r;
        w += place.s;
        bool inside = place.c >= 0 && k < end && h >= 0 && h < height && w >= 0 && w < width;
        return inside ? base + ((size_t(n) * height + h) * width + w) * channels + place.c : nullptr;
    }
};

template <class A, class B>
__device__ __forceinline__ void multiply(const A& a, const B& b, const Epilogue& epilogue, const Share& share) {
    extern __shared__ __align__(16) float memory[];
    main_loop<Multiplier>(a, b, epilogue, blockIdx.x * Multiplier::ROWS, blockIdx.y * Multiplier::COLUMNS, share.begin, share.end,
                          memory);
}

extern "C" __global__ __launch_bounds__(Multiplier::THREADS) void masked_conv2d_forward(
    const float* x, const float* k, const int* taps, float* y, const float* bias, int images, int height, int width, int channels,
    int outputs, int many, float slope) {
    int rows = images * height * width, depth = many * channels;
    Share share(depth, Multiplier::DEPTH, blockIdx.z, gridDim.z);
    Seen seen{x,    taps,      height, width, channels, 1, rows, share.end, in_quads(x, channels), Pixels(height, width),
              Divisor(channels)};
    Matrix<false> kernels(k, outputs, depth, share.end);
    multiply(seen, kernels, Epilogue(y, bias, rows, outputs, slope, 0, blockIdx.z, gridDim.z), share);
}

extern "C" __global__ __launch_bounds__(Multiplier::THREADS) void masked_conv2d_input_gradient(
    const float* dy, const float* k, const int* taps, float* dx, const float* no_bias, int images, int height, int width,
    int channels, int outputs, int many, float slope) {
    int rows = images * height * width, depth = many * outputs;
    Share share(depth, Multiplier::DEPTH, blockIdx.z, gridDim.z);
    Seen seen{dy,   taps,      height, width, outputs, -1, rows, share.end, in_quads(dy, outputs), Pixels(height, width),
              Divisor(outputs)};
    Turned kernels{k, channels, outputs, share.end, in_quads(k, outputs), Divisor(outputs)};
    multiply(seen, kernels, Epilogue(dx, no_bias, rows, channels, slope, 0, blockIdx.z, gridDim.z), share);
}

extern "C" __global__ __launch_bounds__(Multiplier::THREADS) void masked_conv2d_weight_gradient(
    const float* x, const float* dy, const int* taps, float* dk, const float* no_bias, int images, int height, int width,
    int channels, int outputs, int many, float slope, int accumulate) {
    int rows = many * channels, depth = images * height * width;
    Share share(depth, Multiplier::DEPTH, blockIdx.z, gridDim.z);
    SeenTurned seen{x, taps, height, width, channels, rows, share.end, in_quads(x, channels), Pixels(height, width),
                    Divisor(channels)};
    Matrix<false> pixels(dy, outputs, depth, share.end);
    multiply(seen, pixels, Epilogue(dk, no_bias, rows, outputs, slope, accumulate, blockIdx.z, gridDim.z), share);
}
