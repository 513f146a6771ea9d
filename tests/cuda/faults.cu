// Mistakes, each of which the machine on the CPU must notice.
//
// architectures: sm_80
// registers: 64

#include "../../kernels/cuda/intrinsics.cuh"

const int N = 64;

// y = x reversed, by way of shared memory; right with BARRIER
extern "C" __global__ void reverse_without_barrier(const float* x, float* y) {
    __shared__ float tile[N];
    tile[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = tile[N - 1 - threadIdx.x];
}
extern "C" __global__ void reverse(const float* x, float* y) {
    __shared__ float tile[N];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[N - 1 - threadIdx.x];
}
extern "C" __global__ void read_unwritten(float* y) {
    __shared__ float tile[N];
    if (threadIdx.x < 10) tile[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x];
}
extern "C" __global__ void read_unwritten_dynamic(float* y) {
    extern __shared__ float tile[];
    y[threadIdx.x] = tile[threadIdx.x];
}
extern "C" __global__ void write_beyond(float* y, int by) { y[threadIdx.x + by] = 1; }
extern "C" __global__ void read_beyond_shared(float* y, int by) {
    extern __shared__ float tile[];
    tile[threadIdx.x] = 1;
    y[threadIdx.x] = tile[threadIdx.x + by];
}
extern "C" __global__ void barrier_for_some(float* y) {
    if (threadIdx.x < 32) __syncthreads();
    y[threadIdx.x] = 1;
    __syncthreads();
}
extern "C" __global__ void barrier_after_return(float* y) {
    if (threadIdx.x >= 32) return;
    __syncthreads();
    y[threadIdx.x] = 1;
}
extern "C" __global__ void warp_barrier_for_some(float* y) {
    if (threadIdx.x < 16) __syncwarp();
    __syncthreads();
    y[threadIdx.x] = 1;
}
extern "C" __global__ void shuffle_by_half(float* y) {
    if (threadIdx.x < 16) y[threadIdx.x] = __shfl_xor_sync(0xffffu, 1.0f, 1);
}
extern "C" __global__ void copy_without_wait(const float* x, float* y) {
    __shared__ __align__(16) float tile[N];
    copy_async<4>(tile + threadIdx.x, x + threadIdx.x, true);
    close_copies();
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x];
    wait_for_copies<0>();
}
// What the neighbour has still to read may be gone from the moment that a copy is asked for
extern "C" __global__ void copy_without_barrier(const float* x, float* y) {
    __shared__ __align__(16) float tile[N];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[N - 1 - threadIdx.x];
    copy_async<4>(tile + threadIdx.x, x + threadIdx.x, true);
    close_copies();
    __syncthreads();
    wait_for_copies<0>();
}
extern "C" __global__ void copy_never_waited_for(const float* x, float* y) {
    __shared__ __align__(16) float tile[N];
    copy_async<4>(tile + threadIdx.x, x + threadIdx.x, true);
    close_copies();
    y[threadIdx.x] = 1;
}
extern "C" __global__ void copy_askew(const float* x, float* y) {
    __shared__ __align__(16) float tile[N + 4];
    if (threadIdx.x == 0) copy_async<16>(tile + 1, x, true);
    close_copies();
    wait_for_copies<0>();
    y[threadIdx.x] = 1;
}
// Two threads write one place: right in no order that one could rely on
extern "C" __global__ void last_writer_wins(float* y) { y[0] = float(threadIdx.x); }
// A block that reads what another block writes
extern "C" __global__ void needs_block_order(float* y) {
    if (threadIdx.x == 0) y[blockIdx.x] = blockIdx.x ? y[blockIdx.x - 1] + 1 : 0;
}
// A sum in pairs whose steps do not wait for each other; right with the barrier
__device__ float paired(float* tile, bool waits) {
    for (int half = N / 2; half; half /= 2) {
        if (waits) __syncthreads();
        if (threadIdx.x < half) tile[threadIdx.x] += tile[threadIdx.x + half];
    }
    if (waits) __syncthreads();
    return tile[0];
}
extern "C" __global__ void sum_without_barrier(const float* x, float* y) {
    __shared__ float tile[N];
    tile[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = paired(tile, false);
}
extern "C" __global__ void sum_in_pairs(const float* x, float* y) {
    __shared__ float tile[N];
    tile[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = paired(tile, true);
}
// Blocks that add to one number, as they come: no bits to rely on
extern "C" __global__ void sum_as_they_come(const float* x, float* y) {
    if (threadIdx.x == 0) atomicAdd(y, x[blockIdx.x]);
}
// Every thread adds one. While threads take turns none is lost, in whatever order: only the thread sanitizer sees it
extern "C" __global__ void count_without_atomics(float* y) { y[0] += 1; }
extern "C" __global__ void count(float* y) { atomicAdd(y, 1.0f); }
