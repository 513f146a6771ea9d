// The machine on which on_cpu.h runs CUDA C: blocks one after another, a block's threads as fibers in a chosen order.
//
//   order 0   blocks and threads first to last
//   order 1   blocks and threads last to first
//   order 2+  threads shuffled anew at every turn: the order is the seed
//
// A kernel that lacks a barrier is right in at most some of them. With -DREAL_THREADS the threads of a block are threads of
// the system, for the thread sanitizer.
#include "on_cpu.h"

#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>
#ifdef REAL_THREADS
#include <barrier>
#include <memory>
#include <mutex>
#include <thread>
#else
#include <sys/mman.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

extern "C" {
extern char __start_block_shared[] __attribute__((weak));  // the linker's names for the ends of the section
extern char __stop_block_shared[] __attribute__((weak));
}

namespace on_cpu {

PER_THREAD Thread* current;
uint3 block, block_size, grid_size;
char* dynamic_shared;

namespace {

struct Copy { char* to; const char* from; int bytes, zeros; };
using Group = std::vector<Copy>;

enum State { READY, AT_BARRIER, AT_WARP_BARRIER, ENDED };

struct Fiber : Thread {
    int number;
    void* stack_pointer;
    State state;
    unsigned passed;              // how often the barrier had opened when this thread reached it
    std::vector<Group> groups;    // closed, not yet waited for
    Group open;
};

struct Meeting {                  // a barrier: it opens when all that still live have arrived
    int arrived, living;
    unsigned opened;
};

std::vector<Fiber> fibers;
std::vector<Warp> warps;
std::vector<Meeting> warp_meetings;
Meeting meeting;
const char* barrier_file;
int barrier_line, threads;
char message[512];
void (*body)(void**);
void** arguments;

Fiber* me() { return static_cast<Fiber*>(current); }

void check_copies(Fiber* fiber) {
    bool lost = !fiber->open.empty();
    for (Group& group : fiber->groups) lost = lost || !group.empty();
    if (lost) fail("a thread ended with asynchronous copies that it had not waited for: call wait_for_copies<0>()");
}

}  // namespace

void fail(const char* text) {
    if (!message[0]) snprintf(message, sizeof message, "%s", text);
}

#ifdef REAL_THREADS
#include "on_cpu_threads.h"
#else
#include "on_cpu_fibers.h"
#endif

// ---- copies that land when they are waited for, and may land from when they are asked for: between the two the tile holds NaN

void copy_later(void* to, const void* from, int bytes, int zeros) {
    if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % (bytes + zeros))
        fail("an asynchronous copy from or to an address that is not a multiple of its size");
    memset(to, 0xff, bytes + zeros);  // what others still wanted to read there is gone
    me()->open.push_back({static_cast<char*>(to), static_cast<const char*>(from), bytes, zeros});
}

void close_group() {
    me()->groups.push_back(std::move(me()->open));
    me()->open.clear();
}

void wait_for_groups(int still_open) {
    std::vector<Group>& groups = me()->groups;
    while (int(groups.size()) > still_open) {
        for (Copy& copy : groups.front()) {
            memcpy(copy.to, copy.from, copy.bytes);
            memset(copy.to + copy.bytes, 0, copy.zeros);
        }
        groups.erase(groups.begin());
    }
}

}  // namespace on_cpu

// ---- one launch; sizes are the grid's three and the block's three. An error comes back as text.

extern "C" const char* launch_on_cpu(void (*kernel)(void**), void** arguments, const unsigned* sizes, size_t shared,
                                     unsigned order) {
    using namespace on_cpu;
    message[0] = 0;
    body = kernel;
    on_cpu::arguments = arguments;
    grid_size = {sizes[0], sizes[1], sizes[2]};
    block_size = {sizes[3], sizes[4], sizes[5]};
    size_t all = size_t(block_size.x) * block_size.y * block_size.z;
    size_t blocks = size_t(grid_size.x) * grid_size.y * grid_size.z;
    if (all < 1 || all > 1024) return "a block has 1 to 1024 threads";
    if (blocks < 1 || grid_size.x > 0x7fffffffu || grid_size.y > 65535 || grid_size.z > 65535)
        return "a grid has at least one block, and at most 2^31 - 1, 65535 and 65535 of them along x, y and z";
    if (shared > 227 * 1024) return "more than 227 KiB of dynamic shared memory";
    threads = int(all);
    fibers.resize(all);
    warps.resize((all + 31) / 32);
    warp_meetings.resize(warps.size());
    for (unsigned i = 0; i < all; i++) {
        unsigned x = block_size.x, y = block_size.y;
        fibers[i].index = {i % x, i / x % y, i / (x * y)};
        fibers[i].number = int(i);
        fibers[i].lane = int(i % 32);
        fibers[i].warp = &warps[i / 32];
    }
    // Memory of exactly the size asked for, so that the address sanitizer sees its end.
    void* memory = nullptr;
    if (shared && posix_memalign(&memory, 128, shared)) return "no memory for dynamic shared memory";
    dynamic_shared = static_cast<char*>(memory);
    unsigned random = order * 2654435761u + 1;
    for (size_t n = 0; n < blocks && !message[0]; n++) {
        size_t i = order == 1 ? blocks - 1 - n : n;
        size_t x = grid_size.x, y = grid_size.y;
        block = {unsigned(i % x), unsigned(i / x % y), unsigned(i / (x * y))};
        if (__start_block_shared) memset(__start_block_shared, 0xff, __stop_block_shared - __start_block_shared);  // NaN
        if (shared) memset(dynamic_shared, 0xff, shared);
        memset(warps.data(), 0xff, warps.size() * sizeof(Warp));
        run_block(order, random);
    }
    free(memory);
    return message[0] ? message : nullptr;
}
