// Four numbers at once: the widest load and store there is, 16 bytes, one instruction instead of four.
//
// It asks for an address that is a multiple of 16. A row of a matrix begins at one if the matrix does and its rows are a multiple
// of four long: `in_quads` says so for a whole matrix, and where it is false everything goes number by number.
#pragma once

__device__ __forceinline__ bool at_quad(const float* numbers) { return reinterpret_cast<unsigned long long>(numbers) % 16 == 0; }

__device__ __forceinline__ bool in_quads(const float* matrix, int row_length) { return row_length % 4 == 0 && at_quad(matrix); }

// Numbers at, at + 1, at + 2, at + 3 of a row, and zeros from `end` on.
__device__ __forceinline__ float4 load_quad(const float* row, int at, int end, bool quads) {
    if (quads && at < end) return *reinterpret_cast<const float4*>(row + at);  // end is a multiple of four too
    return make_float4(at < end ? row[at] : 0, at + 1 < end ? row[at + 1] : 0, at + 2 < end ? row[at + 2] : 0,
                       at + 3 < end ? row[at + 3] : 0);
}

__device__ __forceinline__ void store_quad(float* row, int at, int end, bool quads, float4 numbers) {
    if (quads && at < end) {
        *reinterpret_cast<float4*>(row + at) = numbers;
        return;
    }
    if (at < end) row[at] = numbers.x;
    if (at + 1 < end) row[at + 1] = numbers.y;
    if (at + 2 < end) row[at + 2] = numbers.z;
    if (at + 3 < end) row[at + 3] = numbers.w;
}
