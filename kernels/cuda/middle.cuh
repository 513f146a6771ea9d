// A walk along the middle axis of (B, R, C), and sums over it that have one order.
//
// A block is w x h threads: w neighbouring channels, which lie side by side in memory, and h rows at a time. It takes one b, and
// one chunk of the rows. A thread adds up its rows in order; the h sums of a channel are then added in pairs, in shared memory.
// Chunks depend on sizes alone (sums.py), so a sum has the same bits on every device and in every run.
// With C = 1 it is the sum of a row, with B = 1 that of columns, with both the sum of everything: w = 1 then, and the h
// threads read neighbours.
#pragma once

const int MOST_THREADS = 256;  // of a block

struct Middle {
    int rows, channels, b, c, first, begin, end;  // this thread's rows: begin, begin + blockDim.y, ... below end; first: the chunk's

    __device__ __forceinline__ Middle(int rows, int channels, int chunk) : rows(rows), channels(channels) {
        int tiles = (channels + blockDim.x - 1) / blockDim.x;
        b = blockIdx.x / tiles;
        c = int(blockIdx.x % tiles * blockDim.x + threadIdx.x);
        first = blockIdx.y * chunk;
        begin = first + threadIdx.y;
        end = c < channels ? min(rows, first + chunk) : 0;  // no rows beyond the last channel
    }
    __device__ __forceinline__ size_t at(int row) const { return (size_t(b) * rows + row) * channels + c; }
    __device__ __forceinline__ size_t column() const { return size_t(b) * channels + c; }  // in (B, C)
    __device__ __forceinline__ size_t part(int batch) const {                              // in (K, B, C)
        return (size_t(blockIdx.y) * batch + b) * channels + c;
    }
    __device__ __forceinline__ bool writes() const { return threadIdx.y == 0 && c < channels; }
};

// The sum over the h threads of a channel, for all of them. h is a power of two; memory holds a number for each thread.
template <class Number> __device__ __forceinline__ Number block_sum(Number sum, Number* memory) {
    int at = threadIdx.y * blockDim.x + threadIdx.x;
    memory[at] = sum;
    for (int half = blockDim.y / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half) memory[at] += memory[at + half * blockDim.x];
    }
    __syncthreads();
    sum = memory[threadIdx.x];
    __syncthreads();  // memory may be written again
    return sum;
}

// The sum of all parts, for all threads of a block with w = 1.
__device__ __forceinline__ double sum_of(const double* parts, int many, double* memory) {
    double sum = 0;
    for (int part = threadIdx.y; part < many; part += blockDim.y) sum += parts[part];
    return block_sum(sum, memory);
}
