// What chance decides: events of probability p, and integers, one thread a block of four random words.
//
//     happens_i = 1 where u_i < p_i, else 0        u_i = (word_i >> 8) 2^-24
//     drawn_i   = start + floor(word_i high / 2^32)
//
// Against an array library: it writes the uniform numbers, reads them to compare, and converts the booleans, three launches; of
// integers it makes three arrays of 64 bits on the way. Here words are made and used in registers (philox.cuh).
// Predicted: 60 integer instructions for four numbers; bound by memory for integers, by the cipher for booleans.
//
// A key is handed over as four numbers, or lies in memory where a step is captured (`key` is no null pointer then). So is p: one
// number, or one for each.
//
// Error: none; the bits are those of every other rung.
//
// Legend: n numbers. k0, k1 the cipher's key, c2, c3 the upper half of its counter. Block: 256. Grid: n / 4 / 256.
//
// architectures: sm_80 sm_90
// registers: 40
// instructions: IMAD LOP3.LUT LDG.E
// instructions of philox_happens_as_float philox_integers: STG.E.128

#include "philox.cuh"

__device__ __forceinline__ uint4 words_of(long long block, const unsigned* key, unsigned k0, unsigned k1, unsigned c2, unsigned c3) {
    if (key) {
        k0 = key[0];
        k1 = key[1];
        c2 = key[2];
        c3 = key[3];
    }
    return philox(block, c2, c3, k0, k1);
}

// Which of the four happen, the first in the lowest bit
__device__ __forceinline__ unsigned below(uint4 w, long long at, long long n, const float* each, float p) {
    unsigned words[4] = {w.x, w.y, w.z, w.w}, found = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float chance = each && at + i < n ? each[at + i] : p;
        found |= unsigned(uniform(words[i]) < chance) << i;
    }
    return found;
}

extern "C" __global__ __launch_bounds__(256) void philox_happens(unsigned char* happens, long long n, const float* each, float p,
                                                                 const unsigned* key, unsigned k0, unsigned k1, unsigned c2,
                                                                 unsigned c3) {
    long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x, at = 4 * block;
    unsigned found = below(words_of(block, key, k0, k1, c2, c3), at, n, each, p);
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (at + i < n) happens[at + i] = found >> i & 1;
}

extern "C" __global__ __launch_bounds__(256) void philox_happens_as_float(float* happens, long long n, const float* each, float p,
                                                                          const unsigned* key, unsigned k0, unsigned k1,
                                                                          unsigned c2, unsigned c3) {
    long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x, at = 4 * block;
    unsigned found = below(words_of(block, key, k0, k1, c2, c3), at, n, each, p);
    const unsigned one = 0x3f800000u;  // the bits of 1.0f
    put(happens, at, n, make_uint4(found & 1 ? one : 0, found & 2 ? one : 0, found & 4 ? one : 0, found & 8 ? one : 0));
}

extern "C" __global__ __launch_bounds__(256) void philox_integers(long long* drawn, long long n, unsigned long long high,
                                                                  long long start, const unsigned* key, unsigned k0, unsigned k1,
                                                                  unsigned c2, unsigned c3) {
    long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x, at = 4 * block;
    uint4 w = words_of(block, key, k0, k1, c2, c3);
    unsigned words[4] = {w.x, w.y, w.z, w.w};
    long long found[4];
#pragma unroll
    for (int i = 0; i < 4; i++) found[i] = start + (long long)(words[i] * high >> 32);  // of 64 bits: high is at most 2^32
    if (at + 4 <= n) {
        uint4* there = reinterpret_cast<uint4*>(drawn + at);
        there[0] = make_uint4(unsigned(found[0]), unsigned(found[0] >> 32), unsigned(found[1]), unsigned(found[1] >> 32));
        there[1] = make_uint4(unsigned(found[2]), unsigned(found[2] >> 32), unsigned(found[3]), unsigned(found[3] >> 32));
        return;
    }
#pragma unroll
    for (int i = 0; i < 3; i++)
        if (at + i < n) drawn[at + i] = found[i];
}
