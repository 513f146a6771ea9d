// The few instructions that CUDA C has no word for, each once for the GPU (a line of PTX) and once for the CPU.
//
// Copies to shared memory that pass by the registers (sm_80 on):
//
//   copy_async<B>(to, from, valid)   B = 4 or 16 bytes, and zeros in their place unless `valid`; nothing is read then
//   close_copies()                   the copies since the last call are one group
//   wait_for_copies<N>()             until all but the latest N groups of this thread have landed
//
// Tensor cores: a warp multiplies two small matrices that lie spread over its lanes. With g = lane / 4, q = lane % 4:
//
//   multiply_tf32   d (16, 8) += a (16, 8) b (8, 8)     a: rows g, g + 8 at column q, then at q + 4;  b: rows q, q + 4, column g
//   multiply_bf16   d (16, 8) += a (16, 16) b (16, 8)   the same with pairs: a's columns 2q, 2q + 1, then 2q + 8, 2q + 9
//
// d: row g at columns 2q, 2q + 1, then row g + 8. tf32 is float32 with 10 bits of fraction, bf16 has 7; sums are float32.
#pragma once

#ifdef ON_CPU

template <int BYTES> inline void copy_async(void* to, const void* from, bool valid) {
    on_cpu::copy_later(to, valid ? from : to, valid ? BYTES : 0, valid ? 0 : BYTES);
}
inline void close_copies() { on_cpu::close_group(); }
template <int STILL_OPEN> inline void wait_for_copies() { on_cpu::wait_for_groups(STILL_OPEN); }

// Rounding to nearest; a NaN stays one (adding half a step would turn the poison's bits into zero).
inline unsigned to_tf32(float x) { return x != x ? __float_as_uint(x) : (__float_as_uint(x) + 0x1000u) & 0xffffe000u; }
inline unsigned bits_bf16(float x) {
    unsigned bits = __float_as_uint(x);
    return x != x ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}
inline unsigned to_bf16(float low, float high) { return bits_bf16(high) << 16 | bits_bf16(low); }

template <int K, class A, class B> inline void multiply_fragments(float* d, A a, B b) {
    int g = on_cpu::current->lane / 4, q = on_cpu::current->lane % 4;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < K; k++) d[i] += a(g + 8 * (i / 2), k) * b(k, 2 * q + i % 2);
}

inline on_cpu::Warp& bring_fragments(const unsigned* a, const unsigned* b) {
    on_cpu::Thread* me = on_cpu::current;
    for (int i = 0; i < 4; i++) me->warp->fragments[me->lane][i] = a[i];
    for (int i = 0; i < 2; i++) me->warp->fragments[me->lane][4 + i] = b[i];
    on_cpu::warp_barrier(0xffffffffu);
    return *me->warp;
}

inline void multiply_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    on_cpu::Warp& warp = bring_fragments(a, b);
    auto number = [](unsigned bits) { return __uint_as_float(bits & 0xffffe000u); };  // the rest of the bits is not read
    multiply_fragments<8>(
        d, [&](int r, int k) { return number(warp.fragments[r % 8 * 4 + k % 4][r / 8 + 2 * (k / 4)]); },
        [&](int k, int c) { return number(warp.fragments[c * 4 + k % 4][4 + k / 4]); });
    on_cpu::warp_barrier(0xffffffffu);
}

inline void multiply_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    on_cpu::Warp& warp = bring_fragments(a, b);
    auto number = [](unsigned pair, int k) { return __uint_as_float(k % 2 ? pair & 0xffff0000u : pair << 16); };
    multiply_fragments<16>(
        d, [&](int r, int k) { return number(warp.fragments[r % 8 * 4 + k % 8 / 2][r / 8 + 2 * (k / 8)], k); },
        [&](int k, int c) { return number(warp.fragments[c * 4 + k % 8 / 2][4 + k / 8], k); });
    on_cpu::warp_barrier(0xffffffffu);
}

#else

template <int BYTES> __device__ __forceinline__ void copy_async(void* to, const void* from, bool valid) {
    unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
    int read = valid ? BYTES : 0;
    if (BYTES == 16)  // 16 bytes may skip the first-level cache
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(from), "r"(read) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(address), "l"(from), "r"(read) : "memory");
}
__device__ __forceinline__ void close_copies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
template <int STILL_OPEN> __device__ __forceinline__ void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;\n" ::"n"(STILL_OPEN) : "memory");
}

__device__ __forceinline__ unsigned to_tf32(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}
__device__ __forceinline__ unsigned to_bf16(float low, float high) {
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

__device__ __forceinline__ void multiply_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void multiply_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#endif
