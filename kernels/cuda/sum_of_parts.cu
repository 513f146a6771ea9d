// The parts of a product whose k was shared out, added up in order, with the epilogue of the whole.
//
//     c = f(sum over p of parts[p] + c' + bias)
//
// One thread a number; the P parts are read in one order, whatever the number of processors: the same bits every time.
//
// Error: P - 1 additions, at most (P - 1) u times the sum of their absolute values, u = 2^-24.
//
// Legend: P parts, M rows, N columns. parts (P, M, N), c (M, N), bias (N,) or null. Block: 256. Grid: M N / 256, rounded up.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: FADD LDG.E STG.E

#include "epilogue.cuh"

extern "C" __global__ __launch_bounds__(256) void sum_of_parts(const float* parts, float* c, const float* bias, int many, int rows,
                                                               int columns, float slope, int accumulate) {
    size_t size = size_t(rows) * columns, at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= size) return;
    float sum = 0;
    for (int part = 0; part < many; part++) sum += parts[part * size + at];
    if (accumulate) sum += c[at];
    if (bias) sum += bias[at % columns];
    c[at] = bent(sum, slope);
}
