// The matrix product that the engine runs: the main loop with matrices for its gathers. `float32.cu`, `tf32.cu` and `bf16.cu` choose
// the multiplier; TRANSPOSE_A, TRANSPOSE_B and LARGE are options of theirs, constants by the time this is compiled.
#pragma once
#include "../cuda/epilogue.cuh"
#include "../cuda/multipliers.cuh"
#include "../cuda/matrix.cuh"

template <class Multiplier>
__device__ __forceinline__ void product(const float* a, const float* b, float* c, const float* bias, int rows, int columns,
                                        int depth, float slope, int accumulate) {
    extern __shared__ __align__(16) float memory[];
    Share share(depth, Multiplier::DEPTH, blockIdx.z, gridDim.z);
    Matrix<!TRANSPOSE_A> gather_a(a, rows, depth, share.end);
    Matrix<TRANSPOSE_B> gather_b(b, columns, depth, share.end);
    Epilogue epilogue(c, bias, rows, columns, slope, accumulate, blockIdx.z, gridDim.z);
    main_loop<Multiplier>(gather_a, gather_b, epilogue, blockIdx.x * Multiplier::ROWS, blockIdx.y * Multiplier::COLUMNS,
                          share.begin, share.end, memory);
}
