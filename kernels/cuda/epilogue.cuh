// What becomes of a finished number of c before it is written, so that it is written once:
//
//     c = f(product + c' + bias),    f(x) = x where x >= 0, slope x elsewhere
//
// c' is what c held, if it is added to; bias one number for a column. slope is 1 for nothing, 0 for ReLU, between them for leaky
// ReLU. A smooth activation is a kernel of its own: it would be unrolled for each of the 64 sums of a thread.
//
// Where k is shared out between blocks, `parts` of them, each writes its part of the sums as it is, and `sum_of_parts` adds
// them up in order and does the rest: the same bits every time, which atomic additions would not give.
#pragma once

__device__ __forceinline__ float bent(float x, float slope) {
    float below = slope != 0 ? slope * x : 0;  // 0 times an infinity would be NaN
    return x < 0 ? below : x;                  // and a NaN stays one
}

struct Epilogue {
    float* c;           // (parts, M, N)
    const float* bias;  // (N,) or null
    int rows, columns;
    float slope;
    bool accumulate, whole, quads;  // whole: these are all of the sums

    __device__ __forceinline__ Epilogue(float* c, const float* bias, int rows, int columns, float slope, int accumulate,
                                        int part, int parts)
        : c(c + part * size_t(rows) * columns), bias(bias), rows(rows), columns(columns), slope(slope),
          accumulate(accumulate != 0), whole(parts == 1),
          quads(columns % 4 == 0 && reinterpret_cast<unsigned long long>(c) % 16 == 0) {}

    __device__ __forceinline__ float finished(float sum, size_t at, int column) const {
        if (!whole) return sum;
        if (accumulate) sum += c[at];
        if (bias) sum += bias[column];
        return bent(sum, slope);
    }

    // TOGETHER sums of neighbours in a row, the first of them at a multiple of TOGETHER
    template <int TOGETHER> __device__ __forceinline__ void store(int row, int column, const float* sums) const {
        if (row >= rows || column >= columns) return;
        size_t at = size_t(row) * columns + column;
        if (TOGETHER == 4 && quads) {
            *reinterpret_cast<float4*>(c + at) =
                make_float4(finished(sums[0], at, column), finished(sums[1 % TOGETHER], at + 1, column + 1),
                            finished(sums[2 % TOGETHER], at + 2, column + 2), finished(sums[3 % TOGETHER], at + 3, column + 3));
            return;
        }
        if (TOGETHER == 2 && quads) {
            *reinterpret_cast<float2*>(c + at) =
                make_float2(finished(sums[0], at, column), finished(sums[1 % TOGETHER], at + 1, column + 1));
            return;
        }
#pragma unroll
        for (int i = 0; i < TOGETHER; i++)
            if (column + i < columns) c[at + i] = finished(sums[i], at + i, column + i);
    }
};

// The k's of one part: its share of the steps of `unit`. Shares differ by one step at most.
struct Share {
    int begin, end;
    __device__ __forceinline__ Share(int depth, int unit, int part, int parts) {
        long long steps = (depth + unit - 1) / unit;
        begin = int(steps * part / parts) * unit;
        end = min(depth, int(steps * (part + 1) / parts) * unit);
    }
};
