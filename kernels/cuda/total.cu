// The parts of a sum over everything, added up in order: the last step of a loss, which leaves its value on the device.
//
//     sum = share (parts[0] + parts[1] + ...)
//
// One block: 256 threads add every 256th part each, then one another's sums in pairs. There are at most some thousand parts, so
// this takes the time of a launch; a host that added them would have to wait for the device.
//
// Error: K additions in float64, nothing beside the parts' own.
//
// Legend: K parts. parts (K,), sum a number. Block: 1 x 256. Grid: 1.
//
// architectures: sm_80 sm_90
// registers: 32
// instructions: DADD BAR.SYNC

#include "middle.cuh"

extern "C" __global__ __launch_bounds__(MOST_THREADS) void total(const double* parts, double* sum, int many, double share) {
    __shared__ double memory[MOST_THREADS];
    double all = sum_of(parts, many, memory);
    if (threadIdx.y == 0) *sum = share * all;
}
