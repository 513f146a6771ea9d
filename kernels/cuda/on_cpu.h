// CUDA C on the CPU: what a .cu file needs so that g++ compiles it unchanged. The machine behind it is on_cpu.cpp.
//
// The threads of a block run in turns, as fibers: each goes on until it reaches a barrier. Blocks run one after another.
// The keywords become nothing, or what C++ has for them; `threadIdx` and its kin are read from the fiber that runs.
//
// What it models: barriers, warps and their shuffles, shared memory (NaN before every block), copies that land only when they
// are waited for (NaN until then), tensor cores with their rounding. What it does not: speed, caches, bank conflicts, the memory
// model.
#pragma once
#define ON_CPU 1

#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
// All shared arrays lie in one section of the library, so that the machine can poison them before every block.
#define __shared__ static __attribute__((section("block_shared")))

struct uint3 { unsigned x, y, z; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

#ifdef REAL_THREADS
#define PER_THREAD thread_local
#else
#define PER_THREAD
#endif

namespace on_cpu {

struct Warp {
    uint64_t words[32];         // one for each lane: what a shuffle hands round
    uint32_t fragments[32][8];  // what the lanes bring to a tensor core
};

struct Thread {
    uint3 index;     // in its block
    int lane;        // in its warp
    Warp* warp;
};

extern PER_THREAD Thread* current;
extern uint3 block, block_size, grid_size;
extern char* dynamic_shared;

void fail(const char* message);                        // ends the launch with an error
void barrier(const char* file, int line);              // of the block
void warp_barrier(unsigned mask);
void copy_later(void* to, const void* from, int bytes, int zeros);  // after the bytes, zeros
void close_group();                                    // of copies
void wait_for_groups(int still_open);                  // copies of all but the latest groups land
void lock();
void unlock();                                         // around an atomic operation

template <class T>
inline T shuffle(unsigned mask, T value, int from) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    Thread* me = current;
    memcpy(&me->warp->words[me->lane], &value, sizeof value);
    warp_barrier(mask);
    memcpy(&value, &me->warp->words[from & 31], sizeof value);
    warp_barrier(mask);
    return value;
}

inline unsigned ballot(unsigned mask, bool vote) {
    Thread* me = current;
    me->warp->words[me->lane] = vote;
    warp_barrier(mask);
    unsigned votes = 0;
    for (int lane = 0; lane < 32; lane++) votes |= unsigned(me->warp->words[lane] & 1) << lane;
    warp_barrier(mask);
    return votes;
}

}  // namespace on_cpu

#define threadIdx (on_cpu::current->index)
#define blockIdx (on_cpu::block)
#define blockDim (on_cpu::block_size)
#define gridDim (on_cpu::grid_size)
#define warpSize 32
#define __syncthreads() on_cpu::barrier(__FILE__, __LINE__)

static inline void __syncwarp(unsigned mask = 0xffffffffu) { on_cpu::warp_barrier(mask); }
template <class T> inline T __shfl_sync(unsigned mask, T value, int lane) { return on_cpu::shuffle(mask, value, lane); }
template <class T> inline T __shfl_xor_sync(unsigned mask, T value, int bits) {
    return on_cpu::shuffle(mask, value, on_cpu::current->lane ^ bits);
}
template <class T> inline T __shfl_down_sync(unsigned mask, T value, unsigned by) {
    int lane = on_cpu::current->lane, from = lane + int(by);
    return on_cpu::shuffle(mask, value, from < 32 ? from : lane);
}
template <class T> inline T __shfl_up_sync(unsigned mask, T value, unsigned by) {
    int lane = on_cpu::current->lane, from = lane - int(by);
    return on_cpu::shuffle(mask, value, from >= 0 ? from : lane);
}
static inline unsigned __ballot_sync(unsigned mask, int vote) { return on_cpu::ballot(mask, vote != 0); }

template <class T> inline T atomicAdd(T* address, T value) {
    on_cpu::lock();
    T before = *address;
    *address = before + value;
    on_cpu::unlock();
    return before;
}

template <class T> inline T __ldg(const T* address) { return *address; }
#define __expf expf  // glibc has functions of these names
#define __logf logf
static inline float __fdividef(float a, float b) { return a / b; }
static inline float rsqrtf(float x) { return 1 / sqrtf(x); }
static inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
static inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
static inline unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }
static inline float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
template <class T> static inline T min(T a, T b) { return b < a ? b : a; }
template <class T> static inline T max(T a, T b) { return a < b ? b : a; }
