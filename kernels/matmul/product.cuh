// The matrix product that the engine runs: the gathers of a matrix, for the main loop. `float32.cu`, `tf32.cu` and `bf16.cu` choose
// the multiplier; TRANSPOSE_A, TRANSPOSE_B and LARGE are options of theirs, constants by the time this is compiled.
#pragma once
#include "../cuda/epilogue.cuh"
#include "../cuda/multipliers.cuh"
#include "quads.cuh"

// a (outer, depth) stored row by row, or (depth, outer) if not ALONG.
template <bool ALONG> struct Matrix {
    static const bool ALONG_K = ALONG;
    const float* base;
    int outer, depth, end;  // end: the last k of this block, which a quad does not cross
    bool quads;

    struct Place {
        const float* start;
    };
    __device__ __forceinline__ Matrix(const float* base, int outer, int depth, int end)
        : base(base), outer(outer), depth(depth), end(end), quads(in_quads(base, ALONG ? depth : outer)) {}
    __device__ __forceinline__ Place place(int i) const {
        return {i < outer ? base + (ALONG ? size_t(i) * depth : size_t(i)) : nullptr};
    }
    __device__ __forceinline__ const float* find(Place place, int k) const {
        return place.start && k < end ? place.start + (ALONG ? size_t(k) : size_t(k) * outer) : nullptr;
    }
};

template <class Multiplier>
__device__ __forceinline__ void product(const float* a, const float* b, float* c, const float* bias, int rows, int columns,
                                        int depth, float slope, int accumulate) {
    extern __shared__ __align__(16) float memory[];
    Share share(depth, Multiplier::DEPTH);
    Matrix<!TRANSPOSE_A> gather_a(a, rows, depth, share.end);
    Matrix<TRANSPOSE_B> gather_b(b, columns, depth, share.end);
    Epilogue epilogue(c, bias, rows, columns, slope, accumulate);
    main_loop<Multiplier>(gather_a, gather_b, epilogue, blockIdx.x * Multiplier::ROWS, blockIdx.y * Multiplier::COLUMNS,
                          share.begin, share.end, memory);
}
