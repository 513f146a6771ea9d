// Convolution by a matrix product whose matrix is never written: what the three passes share.
//
// im2col.cu writes the windows of x and reads them again. Here the main loop asks a gather for each number of the matrix where it
// copies a tile to shared memory, and the gather works out where in x it lies. The div and mod that takes are done once where
// they can be (a row's pixel, in `place`), and by multiplication (divisor.cuh).
//
//                       rows of c     columns    k            a                      b
//     forward           (n, p, q)     m          (r, s, c)    windows of x           k as it lies
//     input gradient    (n, h, w)     c          (r, s, m)    dy where h, w meet it  k, along m
//     weight gradient   (r, s, c)     m          (n, p, q)    windows of x, turned   dy as it lies
//
// With a multiple of four channels the numbers go in fours, 16 bytes a copy; images of 1 or 3 channels go one by one.
#pragma once
#include "../cuda/divisor.cuh"
#include "../cuda/epilogue.cuh"
#include "../cuda/matrix.cuh"
#include "../cuda/multipliers.cuh"

#if PRECISION == 0
using Multiplier = Float32<LARGE>;
#elif PRECISION == 1
using Multiplier = Tf32<LARGE>;
#else
using Multiplier = Bf16<LARGE>;
#endif

// A pixel of a picture (N, H, W) from its number.
struct Pixels {
    Divisor width, height;
    __device__ __forceinline__ Pixels(int height, int width) : width(width), height(height) {}
    __device__ __forceinline__ void find(int number, int& n, int& row, int& column) const {
        int line = width.quotient(number);
        column = width.remainder(number, line);
        n = height.quotient(line);
        row = height.remainder(line, n);
    }
};
