// Up to four matrices side by side, one thread for four neighbouring numbers, or for one.
//
//     y[r] = (p_0[r], p_1[r], p_2[r], p_3[r])
//
// What is put together along another axis than the last is too: the axes behind it belong to a row.
// Against an array library: one pass as there; here parts are read where they lie, halves of something else among them.
// Predicted: bound by memory, 8 bytes a number, 85 % of its speed.
//
// Error: none.
//
// Legend: n numbers of y, A columns of it. p_k (R, a_k), a_k = 0 where there is none, y (R, A), rows s_k and s numbers apart; wide
// 4, where all of these are multiples of four, or 1. Block: 256. Grid: n / (256 wide), rounded up.
//
// architectures: sm_80 sm_90
// gaps: y p0 p1 p2 p3
// registers: 40
// instructions: LDG.E LDG.E.128 STG.E STG.E.128

__device__ __forceinline__ bool at_fours(const float* numbers) { return reinterpret_cast<unsigned long long>(numbers) % 16 == 0; }

extern "C" __global__ __launch_bounds__(256) void combine_beside(float* y, const float* p0, const float* p1, const float* p2,
                                                                 const float* p3, int a0, int a1, int a2, int a3, int s, int s0,
                                                                 int s1, int s2, int s3, int n, int wide) {
    long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * wide;
    if (first >= n) return;
    int columns = a0 + a1 + a2 + a3, r = int(first) / columns, c = int(first) - r * columns;
    float* to = y + (long long)r * s + c;
    const float* from = p0;
    int apart = s0;
    if (c >= a0) {
        c -= a0, from = p1, apart = s1;
        if (c >= a1) {
            c -= a1, from = p2, apart = s2;
            if (c >= a2) c -= a2, from = p3, apart = s3;
        }
    }
    from += (long long)r * apart + c;
    if (wide == 4 && at_fours(from) && at_fours(to)) {
        *reinterpret_cast<float4*>(to) = *reinterpret_cast<const float4*>(from);
        return;
    }
    for (int i = 0; i < wide; ++i) to[i] = from[i];
}
