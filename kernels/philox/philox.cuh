// The cipher, the uniform number of a word, and the store of a block of four: what all draws share.
#pragma once

__device__ __forceinline__ uint4 philox(unsigned long long block, unsigned c2, unsigned c3, unsigned k0, unsigned k1) {
    uint4 c = make_uint4(unsigned(block), unsigned(block >> 32), c2, c3);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        unsigned long long p = 0xD2511F53ull * c.x, q = 0xCD9E8D57ull * c.z;
        c = make_uint4(unsigned(q >> 32) ^ c.y ^ k0, unsigned(q), unsigned(p >> 32) ^ c.w ^ k1, unsigned(p));
        k0 += 0x9E3779B9u;  // modulo 2^32
        k1 += 0xBB67AE85u;
    }
    return c;
}

__device__ __forceinline__ float uniform(unsigned word) { return float(word >> 8) * 5.9604644775390625e-8f; }  // 2^-24

// Four words or numbers of 4 bytes each, in one store; the array is the allocator's, and so begins at a multiple of 16 bytes
template <class Number> __device__ __forceinline__ void put(Number* drawn, long long at, long long n, uint4 bits) {
    uint4* there = reinterpret_cast<uint4*>(drawn + at);
    if (at + 4 <= n) {
        *there = bits;
        return;
    }
    unsigned* one = reinterpret_cast<unsigned*>(there);
    if (at < n) one[0] = bits.x;
    if (at + 1 < n) one[1] = bits.y;
    if (at + 2 < n) one[2] = bits.z;
}
