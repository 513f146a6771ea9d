// How a step of the main loop is multiplied: by the ordinary units in float32, or by tensor cores in tf32 or bf16.
//
// Each makes a tile of c, ROWS x COLUMNS, of which every warp makes a part, 32 x WIDE; the sums stay in registers, in float32. `step`
// adds the product of two tiles in shared memory, `finish` hands the sums to the epilogue, neighbours of a row together.
//
// The warps lie in DOWN rows. On large matrices a block is 128 x 128 and WIDE is 64; where that would leave processors without a
// block, it is 64 x 64 and WIDE is 32.
//
// Error, u = 2^-24, relative to sum |a b|: float32 K u. tf32 rounds the factors to 11 bits, 2^-11 for the two together, and bf16
// to 8 bits, 2^-8; random signs make it smaller by norm: measured 3e-4 and 2.4e-3 on normal numbers.
#pragma once
#include "main_loop.cuh"

template <bool BIG> struct Blocks {
    static const int DOWN = BIG ? 4 : 2, WIDE = BIG ? 64 : 32;  // rows of warps; columns of a warp's part
    static const int ROWS = 32 * DOWN, COLUMNS = 2 * WIDE, THREADS = 64 * DOWN;
    __device__ __forceinline__ static int top_of_warp() { return threadIdx.x / 64 * 32; }
    __device__ __forceinline__ static int left_of_warp() { return threadIdx.x / 32 % 2 * WIDE; }
};

// ---- float32: a lane makes 8 rows and WIDE / 8 columns of its warp's part; the lanes lie 4 x 8

template <bool BIG> struct Float32 : Blocks<BIG> {
    using Base = Blocks<BIG>;
    static const int DEPTH = 16, SPARE = 8, DOWN = 8, ACROSS = Base::WIDE / 8;
    float sum[DOWN][ACROSS] = {};

    // Which row of the warp's part is a lane's i-th. Along k, the four rows read at once are neighbours, and a row is a multiple
    // of 4 numbers and an odd multiple: four banks apart. Along m, the lane's rows come in fours, which are one load.
    template <bool ALONG_K> __device__ __forceinline__ static int row(int i) {
        int lane = threadIdx.x % 32 / 8;
        return ALONG_K ? i * 4 + lane : i / 4 * 16 + lane * 4 + i % 4;
    }
    template <bool ALONG_K> __device__ __forceinline__ static int column(int j) {
        int lane = threadIdx.x % 8;
        return ALONG_K ? j * 8 + lane : j / 4 * 32 + lane * 4 + j % 4;
    }

    template <bool A_ALONG_K, bool B_ALONG_K> __device__ __forceinline__ void step(const float* a, const float* b) {
        using OfA = Tile<A_ALONG_K, Base::ROWS, DEPTH, SPARE>;
        using OfB = Tile<B_ALONG_K, Base::COLUMNS, DEPTH, SPARE>;
        const int top = Base::top_of_warp(), left = Base::left_of_warp();
#pragma unroll
        for (int k = 0; k < DEPTH; k += 4) {
            float4 rows[DOWN], columns[ACROSS];  // along k: four steps of each; along m or n: see below
#pragma unroll
            for (int i = 0; i < DOWN; i++)
                if (A_ALONG_K) rows[i] = quad(a + OfA::at(top + row<true>(i), k));
#pragma unroll
            for (int j = 0; j < ACROSS; j++)
                if (B_ALONG_K) columns[j] = quad(b + OfB::at(left + column<true>(j), k));
#pragma unroll
            for (int l = 0; l < 4; l++) {
                float of_a[DOWN], of_b[ACROSS];
#pragma unroll
                for (int i = 0; i < DOWN; i++) of_a[i] = part(rows[i], l);
#pragma unroll
                for (int j = 0; j < ACROSS; j++) of_b[j] = part(columns[j], l);
#pragma unroll
                for (int i = 0; i < DOWN; i += 4)
                    if (!A_ALONG_K) spread(quad(a + OfA::at(top + row<false>(i), k + l)), of_a + i);
#pragma unroll
                for (int j = 0; j < ACROSS; j += 4)
                    if (!B_ALONG_K) spread(quad(b + OfB::at(left + column<false>(j), k + l)), of_b + j);
#pragma unroll
                for (int i = 0; i < DOWN; i++)
#pragma unroll
                    for (int j = 0; j < ACROSS; j++) sum[i][j] += of_a[i] * of_b[j];
            }
        }
    }

    template <bool A_ALONG_K, bool B_ALONG_K, class Epilogue>
    __device__ __forceinline__ void finish(int top, int left, const Epilogue& epilogue) {
        const int TOGETHER = B_ALONG_K ? 1 : 4;
        top += Base::top_of_warp();
        left += Base::left_of_warp();
#pragma unroll
        for (int i = 0; i < DOWN; i++)
#pragma unroll
            for (int j = 0; j < ACROSS; j += TOGETHER)
                epilogue.template store<TOGETHER>(top + row<A_ALONG_K>(i), left + column<B_ALONG_K>(j), &sum[i][j]);
    }

    __device__ __forceinline__ static float4 quad(const float* at) { return *reinterpret_cast<const float4*>(at); }
    __device__ __forceinline__ static float part(float4 x, int i) { return i == 0 ? x.x : i == 1 ? x.y : i == 2 ? x.z : x.w; }
    __device__ __forceinline__ static void spread(float4 x, float* to) {
        to[0] = x.x;
        to[1] = x.y;
        to[2] = x.z;
        to[3] = x.w;
    }
};

// ---- tensor cores: a warp's part is 2 x WIDE / 8 products of 16 x 8 (intrinsics.cuh says which lane holds what)

template <bool BIG> struct TensorCores : Blocks<BIG> {
    using Base = Blocks<BIG>;
    static const int ACROSS = Base::WIDE / 8;
    float sum[2][ACROSS][4] = {};

    template <bool A_ALONG_K, bool B_ALONG_K, class Epilogue>
    __device__ __forceinline__ void finish(int top, int left, const Epilogue& epilogue) {
        int g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < ACROSS; j++)
#pragma unroll
                for (int half = 0; half < 2; half++)
                    epilogue.template store<2>(top + Base::top_of_warp() + 16 * i + 8 * half + g,
                                               left + Base::left_of_warp() + 8 * j + 2 * q, &sum[i][j][2 * half]);
    }
};

template <bool BIG> struct Tf32 : TensorCores<BIG> {
    using Base = TensorCores<BIG>;
    static const int DEPTH = 16, SPARE = 8;

    template <bool A_ALONG_K, bool B_ALONG_K> __device__ __forceinline__ void step(const float* a, const float* b) {
        using OfA = Tile<A_ALONG_K, Base::ROWS, DEPTH, SPARE>;
        using OfB = Tile<B_ALONG_K, Base::COLUMNS, DEPTH, SPARE>;
        int g = threadIdx.x % 32 / 4, q = threadIdx.x % 4, top = Base::top_of_warp() + g, left = Base::left_of_warp() + g;
#pragma unroll
        for (int k = 0; k < DEPTH; k += 8) {
            unsigned rows[2][4], columns[Base::ACROSS][2];
#pragma unroll
            for (int i = 0; i < 8; i++)
                rows[i / 4][i % 4] = to_tf32(a[OfA::at(top + i / 4 * 16 + i % 2 * 8, k + q + i % 4 / 2 * 4)]);
#pragma unroll
            for (int j = 0; j < 2 * Base::ACROSS; j++)
                columns[j / 2][j % 2] = to_tf32(b[OfB::at(left + j / 2 * 8, k + q + j % 2 * 4)]);
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int j = 0; j < Base::ACROSS; j++) multiply_tf32(Base::sum[i][j], rows[i], columns[j]);
        }
    }
};

template <bool BIG> struct Bf16 : TensorCores<BIG> {
    using Base = TensorCores<BIG>;
    static const int DEPTH = 16, SPARE = 4;  // a lane's k is even: rows of a tile that are 2 apart must lie 8 banks apart

    template <bool A_ALONG_K, bool B_ALONG_K> __device__ __forceinline__ void step(const float* a, const float* b) {
        using OfA = Tile<A_ALONG_K, Base::ROWS, DEPTH, SPARE>;
        using OfB = Tile<B_ALONG_K, Base::COLUMNS, DEPTH, SPARE>;
        int g = threadIdx.x % 32 / 4, q = threadIdx.x % 4, top = Base::top_of_warp() + g, left = Base::left_of_warp() + g;
        unsigned rows[2][4], columns[Base::ACROSS][2];
#pragma unroll
        for (int i = 0; i < 8; i++) {
            int row = top + i / 4 * 16 + i % 2 * 8, k = 2 * q + i % 4 / 2 * 8;
            rows[i / 4][i % 4] = to_bf16(a[OfA::at(row, k)], a[OfA::at(row, k + 1)]);
        }
#pragma unroll
        for (int j = 0; j < 2 * Base::ACROSS; j++) {
            int column = left + j / 2 * 8, k = 2 * q + j % 2 * 8;
            columns[j / 2][j % 2] = to_bf16(b[OfB::at(column, k)], b[OfB::at(column, k + 1)]);
        }
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < Base::ACROSS; j++) multiply_bf16(Base::sum[i][j], rows[i], columns[j]);
    }
};
