// Philox-4x32-10 and the numbers made of its words, one thread a block of four words.
//
//     word i of a draw is word i % 4 of the cipher at counter i / 4          the same integer on every device
//
// A counter-based generator is what a GPU wants: no state to hand from thread to thread, any word from its number alone. The
// cipher's rounds are two multiplications of 32 bits to 64 and a few exclusive ors. What a word means is in definition.py; the
// logarithm, cosine and sine of normal numbers are the short polynomials of one_pass.py, after exact reductions of the integers.
// Predicted: 60 integer instructions for 16 bytes; bound by memory for words, half of that for normal numbers.
//
// The kernels that end in `_read` take the key from memory, and `philox_child` makes a key's child there: so a captured step is
// handed one key, and derives all others (minigen/models/device_key.py).
//
// Error: words and uniform numbers none. Normal numbers within 1e-6 of the exact value of the formula.
//
// Legend: n words or numbers. k0, k1 the cipher's key, c2, c3 the upper half of its counter. Block: 256. Grid: n / 4 / 256.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: IMAD LOP3.LUT
// instructions of philox_words philox_uniform philox_normal: STG.E.128
// instructions of philox_words_read philox_uniform_read philox_normal_read: LDG.E STG.E.128

#include "philox.cuh"

// -2 ln(U 2^-24) = radius^2, U in 1 .. 2^24: U = 2^e m with m in [sqrt(1/2), sqrt(2)), s = (m - 1) / (m + 1), ln m = 2 artanh s
__device__ __forceinline__ float radius(unsigned word) {
    unsigned bits = __float_as_uint(float((word >> 8) + 1));
    float m = __uint_as_float((bits & 0x7fffffu) | 0x3f800000u);
    int e = int(bits >> 23) - 127 - 24;
    if (m > 1.41421356f) {
        m *= 0.5f;
        e++;
    }
    float s = (m - 1) / (m + 1), z = s * s;
    float ln = float(e) * 0.693147181f + 2 * s * (1 + z * (1 / 3.0f + z * (1 / 5.0f + z * (1 / 7.0f + z * (1 / 9.0f)))));
    return sqrtf(-2 * ln);
}

// (cos, sin) of V 2^-24 turns: the nearest quarter of a turn leaves an eighth at most to either side
__device__ __forceinline__ float2 direction(unsigned word) {
    int v = int(word >> 8), quarter = (v + (1 << 21)) >> 22;
    float a = float(v - (quarter << 22)) * 3.74507028e-7f, z = a * a;  // 2 pi 2^-24
    float sine = a * (1 + z * (-1 / 6.0f + z * (1 / 120.0f + z * (-1 / 5040.0f + z * (1 / 362880.0f)))));
    float cosine = 1 + z * (-1 / 2.0f + z * (1 / 24.0f + z * (-1 / 720.0f + z * (1 / 40320.0f + z * (-1 / 3628800.0f)))));
    float x = quarter & 1 ? sine : cosine, y = quarter & 1 ? cosine : sine;
    return make_float2((quarter + 1) & 2 ? -x : x, quarter & 2 ? -y : y);
}

__device__ __forceinline__ uint4 bits_of(float x, float y, float z, float w) {
    return make_uint4(__float_as_uint(x), __float_as_uint(y), __float_as_uint(z), __float_as_uint(w));
}

__device__ __forceinline__ void words(unsigned* drawn, long long n, unsigned k0, unsigned k1, unsigned c2, unsigned c3) {
    long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    put(drawn, 4 * block, n, philox(block, c2, c3, k0, k1));
}

__device__ __forceinline__ void uniforms(float* drawn, long long n, unsigned k0, unsigned k1, unsigned c2, unsigned c3) {
    long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    uint4 w = philox(block, c2, c3, k0, k1);
    put(drawn, 4 * block, n, bits_of(uniform(w.x), uniform(w.y), uniform(w.z), uniform(w.w)));
}

__device__ __forceinline__ void normals(float* drawn, long long n, unsigned k0, unsigned k1, unsigned c2, unsigned c3) {
    long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    uint4 w = philox(block, c2, c3, k0, k1);
    float2 first = direction(w.y), second = direction(w.w);
    float r = radius(w.x), s = radius(w.z);
    put(drawn, 4 * block, n, bits_of(r * first.x, r * first.y, s * second.x, s * second.y));
}

extern "C" __global__ __launch_bounds__(256) void philox_words(unsigned* drawn, long long n, unsigned k0, unsigned k1, unsigned
c2,
                                                               unsigned c3) {
    words(drawn, n, k0, k1, c2, c3);
}
extern "C" __global__ __launch_bounds__(256) void philox_words_read(unsigned* drawn, long long n, const unsigned* key) {
    words(drawn, n, key[0], key[1], key[2], key[3]);
}

extern "C" __global__ __launch_bounds__(256) void philox_uniform(float* drawn, long long n, unsigned k0, unsigned k1, unsigned
c2,
                                                                 unsigned c3) {
    uniforms(drawn, n, k0, k1, c2, c3);
}
extern "C" __global__ __launch_bounds__(256) void philox_uniform_read(float* drawn, long long n, const unsigned* key) {
    uniforms(drawn, n, key[0], key[1], key[2], key[3]);
}

extern "C" __global__ __launch_bounds__(256) void philox_normal(float* drawn, long long n, unsigned k0, unsigned k1, unsigned
c2,
                                                                unsigned c3) {
    normals(drawn, n, k0, k1, c2, c3);
}
extern "C" __global__ __launch_bounds__(256) void philox_normal_read(float* drawn, long long n, const unsigned* key) {
    normals(drawn, n, key[0], key[1], key[2], key[3]);
}

extern "C" __global__ __launch_bounds__(32) void philox_child(unsigned* child, const unsigned* parent, unsigned long long name,
                                                              unsigned use0, unsigned use1) {
    if (threadIdx.x) return;
    uint4 w = philox(name, parent[2], parent[3], parent[0] ^ use0, parent[1] ^ use1);
    child[0] = w.x;
    child[1] = w.y;
    child[2] = w.z;
    child[3] = w.w;
}
