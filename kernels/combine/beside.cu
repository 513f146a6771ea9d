// Up to four matrices put side by side, or one taken apart into them: one thread for four neighbouring numbers, or for one.
//
//     y[r] = (p_0[r], p_1[r], p_2[r], p_3[r])
//
// What is put together along another axis than the last is too: the axes behind it belong to a row.
// Against an array library: one pass as there; but what is taken apart is not left as views with gaps, which every kernel that
// reads them would copy by itself.
// Predicted: bound by memory, 8 bytes a number, 85 % of its speed.
//
// Error: none.
//
// Legend: R rows, n numbers of y. p_k (R, a_k), null and a_k = 0 where there is none, y (R, a_0 + ... + a_3), rows s_k and s
// numbers apart; wide 4, where all of these are multiples of four, or 1. Block: 256. Grid: n / (256 wide), rounded up.
//
// architectures: sm_80 sm_90
// gaps: y p0 p1 p2 p3
// registers: 40
// instructions: LDG.E LDG.E.128 STG.E STG.E.128

#include "../cuda/quads.cuh"

// Where the numbers from `first` on lie: in y, and in a part.
struct Place {
    long long whole, part;
    int k;

    __device__ __forceinline__ Place(int first, int a0, int a1, int a2, int a3, int s, int s0, int s1, int s2, int s3) {
        int columns = a0 + a1 + a2 + a3, r = first / columns, c = first - r * columns, apart = s0;
        whole = (long long)r * s + c;
        k = 0;
        if (c >= a0) c -= a0, apart = s1, k = 1;
        if (k == 1 && c >= a1) c -= a1, apart = s2, k = 2;
        if (k == 2 && c >= a2) c -= a2, apart = s3, k = 3;
        part = (long long)r * apart + c;
    }
    template <class Numbers>
    __device__ __forceinline__ Numbers of(Numbers p0, Numbers p1, Numbers p2, Numbers p3) const {
        return (k == 0 ? p0 : k == 1 ? p1 : k == 2 ? p2 : p3) + part;
    }
};

__device__ __forceinline__ void copied(float* to, const float* from, int wide) {
    if (wide == 4 && at_quad(from) && at_quad(to)) {
        *reinterpret_cast<float4*>(to) = *reinterpret_cast<const float4*>(from);
        return;
    }
    for (int i = 0; i < wide; ++i) to[i] = from[i];
}

extern "C" __global__ __launch_bounds__(256) void combine_beside(float* y, const float* p0, const float* p1, const float* p2,
                                                                 const float* p3, int a0, int a1, int a2, int a3, int s, int s0,
                                                                 int s1, int s2, int s3, int n, int wide) {
    long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * wide;
    if (first >= n) return;
    Place at(int(first), a0, a1, a2, a3, s, s0, s1, s2, s3);
    copied(y + at.whole, at.of(p0, p1, p2, p3), wide);
}

extern "C" __global__ __launch_bounds__(256) void combine_apart(const float* y, float* p0, float* p1, float* p2, float* p3, int a0,
                                                                int a1, int a2, int a3, int s, int s0, int s1, int s2, int s3,
                                                                int n, int wide) {
    long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * wide;
    if (first >= n) return;
    Place at(int(first), a0, a1, a2, a3, s, s0, s1, s2, s3);
    copied(at.of(p0, p1, p2, p3), y + at.whole, wide);
}
