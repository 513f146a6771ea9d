// A sum of products of views, one thread for four neighbouring numbers, or for one.
//
//     y = f_0 w_0 x_0 + ... + f_3 w_3 x_3          f numbers; w null for 1; TERMS says how many there are
//
// A view is a pointer and the steps between its neighbours along R axes, 0 along those that it is broadcast over: a sum of
// branches, a row's number beside all of its row, half of a row, a transposed array are one kernel. ../combine/walk.py makes the
// axes as few as they can be; the table lies in memory, the same for all threads, and stays in the nearest cache.
// Where all that moves along the last axis moves by one, in fours, a thread loads and stores four numbers at once.
// Against an array library: a product and a sum are a pass each, with an array between them.
// Predicted: bound by memory, 85 % of its speed: 4 bytes a number for y and each x; where R is 3 a thread divides twice.
//
// Error: (TERMS + 1) u sum |f w x|, u = 2^-24.
//
// Legend: R axes (`rank`), n numbers of y. y, x, w views. layout (2 + 2 TERMS, R): the sizes, then the steps of y, x_0, w_0, x_1,
// ...; wide 4 or 1. Block: 256. Grid: n / (256 wide), rounded up.
//
// architectures: sm_80 sm_90
// options: TERMS=1,2,3,4
// gaps: y x0 w0 x1 w1 x2 w2 x3 w3
// registers: 64
// instructions: LDG.E LDG.E.128 STG.E STG.E.128

#include "../cuda/quads.cuh"

constexpr int VIEWS = 1 + 2 * TERMS;

// Four numbers that lie side by side, or one of them four times.
__device__ __forceinline__ float4 four(const float* numbers, int step) {
    if (step) return *reinterpret_cast<const float4*>(numbers);
    float one = *numbers;
    return make_float4(one, one, one, one);
}

extern "C" __global__ __launch_bounds__(256) void combine_add(float* y, const float* x0, const float* w0, const float* x1,
                                                              const float* w1, const float* x2, const float* w2, const float* x3,
                                                              const float* w3, float f0, float f1, float f2, float f3,
                                                              const int* layout, int rank, int n, int wide) {
    const float* views[] = {y, x0, w0, x1, w1, x2, w2, x3, w3};
    const float factors[] = {f0, f1, f2, f3};
    long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * wide;
    if (first >= n) return;

    int at[VIEWS] = {}, rest = int(first);
    for (int axis = rank - 1; axis >= 0; --axis) {
        int size = layout[axis], further = axis ? rest / size : 0, here = rest - further * size;
        rest = further;
#pragma unroll
        for (int v = 0; v < VIEWS; ++v) at[v] += here * layout[(1 + v) * rank + axis];
    }
    int step[VIEWS];
    bool fours = wide == 4;
#pragma unroll
    for (int v = 0; v < VIEWS; ++v) {
        step[v] = layout[(2 + v) * rank - 1];
        fours = fours && (step[v] == 0 || at_quad(views[v]));
    }

    if (fours) {
        float4 total = make_float4(0, 0, 0, 0);
#pragma unroll
        for (int k = 0; k < TERMS; ++k) {
            float4 x = four(views[1 + 2 * k] + at[1 + 2 * k], step[1 + 2 * k]), w = make_float4(1, 1, 1, 1);
            if (views[2 + 2 * k]) w = four(views[2 + 2 * k] + at[2 + 2 * k], step[2 + 2 * k]);
            float f = factors[k];
            total.x += f * w.x * x.x, total.y += f * w.y * x.y, total.z += f * w.z * x.z, total.w += f * w.w * x.w;
        }
        *reinterpret_cast<float4*>(y + at[0]) = total;
        return;
    }
    for (int i = 0; i < wide; ++i) {
        float total = 0;
#pragma unroll
        for (int k = 0; k < TERMS; ++k) {
            float w = views[2 + 2 * k] ? views[2 + 2 * k][at[2 + 2 * k] + i * step[2 + 2 * k]] : 1;
            total += factors[k] * w * views[1 + 2 * k][at[1 + 2 * k] + i * step[1 + 2 * k]];
        }
        y[at[0] + i * step[0]] = total;
    }
}
