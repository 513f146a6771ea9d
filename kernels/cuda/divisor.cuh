// Division by a number that stays the same: a multiplication and a shift instead of some thirty instructions.
//
//     n / d = (hi(n m) + n) >> s     s = ceil(log2 d),  m = floor(2^32 (2^s - d) / d) + 1
//
// Exact for 0 <= n < 2^31 (Granlund and Montgomery 1994, "Division by invariant integers using multiplication").
#pragma once

struct Divisor {
    unsigned divisor, multiplier;
    int shift;

    __device__ __forceinline__ explicit Divisor(int d) : divisor(d), shift(32 - __clz(d - 1)) {
        multiplier = unsigned(((1ull << 32) * ((1ull << shift) - d)) / d) + 1;
    }
    __device__ __forceinline__ int quotient(int n) const { return int((__umulhi(unsigned(n), multiplier) + unsigned(n)) >> shift); }
    __device__ __forceinline__ int remainder(int n, int quotient) const { return n - quotient * int(divisor); }
};
