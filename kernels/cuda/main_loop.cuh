// One main loop for every product: c (M, N) = a (M, K) b (K, N), whatever a and b are gathered from.
//
// A block makes a tile of c, ROWS x COLUMNS. It goes along k in steps of DEPTH; the tiles of a and b for the next two steps travel
// to shared memory by asynchronous copies while the present one is multiplied (pipelined.cu explains the idea). What differs
// between a matrix product and the three passes of a convolution is where an element of a or b lies: a *gather* says. What
// differs between float32 and the tensor cores is how a step is multiplied: a *multiplier* says (multipliers.cuh). What happens
// to a finished number is the *epilogue*'s business (epilogue.cuh).
//
// A gather has
//
//   ALONG_K                  its numbers lie side by side along k; if false, along its other axis, m of a or n of b
//   bool quads               four neighbours from a multiple of four on are in one piece of 16 bytes, all inside or all outside
//   const float* base        any valid address
//   Place place(int outer)   what can be worked out from m or n alone: once for all of k
//   const float* find(Place, int k)     the element's address, or null where it is a zero
//
// A tile lies in shared memory as the gather's numbers do, [outer][k] or [k][outer], with a few numbers more in a row, so that the
// lanes of a warp meet different banks: 4 along k, and SPARE, as the multiplier's lanes ask for it, along the other axis.
#pragma once
#include "intrinsics.cuh"

const int STAGES = 3;  // tiles in shared memory: one that is read, two that are on the way

template <bool ALONG_K, int OUTER, int DEPTH, int SPARE> struct Tile {
    static const int PITCH = ALONG_K ? DEPTH + 4 : OUTER + SPARE;
    static const int SIZE = (ALONG_K ? OUTER : DEPTH) * PITCH;
    __device__ __forceinline__ static int at(int outer, int k) { return ALONG_K ? outer * PITCH + k : k * PITCH + outer; }
};

// The share of one thread in copying a gather's tiles: the same few quads of outer places, step after step.
template <class Gather, int OUTER, int DEPTH, int SPARE, int THREADS> struct Copier {
    using Shape = Tile<Gather::ALONG_K, OUTER, DEPTH, SPARE>;
    static const int IN_A_LINE = (Gather::ALONG_K ? DEPTH : OUTER) / 4, EACH = OUTER * DEPTH / 4 / THREADS;
    static_assert(EACH * THREADS * 4 == OUTER * DEPTH, "the threads share out the tile evenly");
    typename Gather::Place places[EACH];

    __device__ __forceinline__ static int outer(int i) {
        int quad = threadIdx.x + i * THREADS;
        return Gather::ALONG_K ? quad / IN_A_LINE : quad % IN_A_LINE * 4;
    }
    __device__ __forceinline__ static int inner(int i) {
        int quad = threadIdx.x + i * THREADS;
        return Gather::ALONG_K ? quad % IN_A_LINE * 4 : quad / IN_A_LINE;
    }

    __device__ __forceinline__ void begin(const Gather& gather, int first) {
#pragma unroll
        for (int i = 0; i < EACH; i++) places[i] = gather.place(first + outer(i));
    }

    __device__ __forceinline__ void copy(const Gather& gather, int first, int k, float* tile) const {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            float* to = tile + Shape::at(outer(i), inner(i));
            if (gather.quads) {
                const float* from = gather.find(places[i], k + inner(i));
                copy_async<16>(to, from ? from : gather.base, from != nullptr);
                continue;
            }
#pragma unroll 1
            for (int j = 0; j < 4; j++) {
                const float* from = Gather::ALONG_K ? gather.find(places[i], k + inner(i) + j)
                                                    : gather.find(gather.place(first + outer(i) + j), k + inner(i));
                copy_async<4>(to + j, from ? from : gather.base, from != nullptr);
            }
        }
    }
};

// Bytes of dynamic shared memory that a block needs: STAGES tiles of a, then of b.
template <class A, class B, class Multiplier> struct Layout {
    static const int SIZE_A = Tile<A::ALONG_K, Multiplier::ROWS, Multiplier::DEPTH, Multiplier::SPARE>::SIZE;
    static const int SIZE_B = Tile<B::ALONG_K, Multiplier::COLUMNS, Multiplier::DEPTH, Multiplier::SPARE>::SIZE;
};

// c from row `top` and column `left` on, over begin <= k < end, handed number by number to the epilogue.
template <class Multiplier, class A, class B, class Epilogue>
__device__ __forceinline__ void main_loop(const A& a, const B& b, const Epilogue& epilogue, int top, int left, int begin, int end,
                                          float* memory) {
    const int DEPTH = Multiplier::DEPTH, SPARE = Multiplier::SPARE;
    using Sizes = Layout<A, B, Multiplier>;
    Copier<A, Multiplier::ROWS, DEPTH, SPARE, Multiplier::THREADS> copier_a;
    Copier<B, Multiplier::COLUMNS, DEPTH, SPARE, Multiplier::THREADS> copier_b;
    copier_a.begin(a, top);
    copier_b.begin(b, left);
    float *tiles_a = memory, *tiles_b = memory + STAGES * Sizes::SIZE_A;

    int steps = (end - begin + DEPTH - 1) / DEPTH;
    auto copy = [&](int step) {  // a step beyond the last is an empty group, so that the count of groups stays right
        if (step < steps) {
            int stage = step % STAGES, k = begin + step * DEPTH;
            copier_a.copy(a, top, k, tiles_a + stage * Sizes::SIZE_A);
            copier_b.copy(b, left, k, tiles_b + stage * Sizes::SIZE_B);
        }
        close_copies();
    };

    Multiplier multiplier;
    for (int step = 0; step < STAGES - 1; step++) copy(step);
    for (int step = 0; step < steps; step++) {
        wait_for_copies<STAGES - 2>();  // this step's have landed ...
        __syncthreads();                // ... those of all threads; and all have left the tile that the next copies overwrite
        copy(step + STAGES - 1);
        int stage = step % STAGES;
        multiplier.template step<A::ALONG_K, B::ALONG_K>(tiles_a + stage * Sizes::SIZE_A, tiles_b + stage * Sizes::SIZE_B);
    }
    wait_for_copies<0>();
    multiplier.template finish<A::ALONG_K, B::ALONG_K>(top, left, epilogue);
}
