// The plainest gather of the main loop: a matrix in memory, either way round.
#pragma once
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
