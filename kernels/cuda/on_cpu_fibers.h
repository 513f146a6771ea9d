// The threads of a block in turns, as fibers: one goes on until a barrier stops it. Included by on_cpu.cpp, inside its namespace.
#pragma once

namespace {

void* scheduler;  // its stack pointer
const size_t STACK = 1 << 16;
char* stacks;
int stacks_held;
bool left_in_the_middle;  // a deadlock ended the block before its threads did

#include "switch_stack.h"

void open_if_complete(Meeting& where) {
    if (where.living && where.arrived == where.living) {
        where.arrived = 0;
        where.opened++;
        if (&where == &meeting && where.living != threads) fail("__syncthreads() after some threads of the block had ended");
    }
}

void pause(State state, unsigned passed) {
    Fiber* fiber = me();
    fiber->state = state;
    fiber->passed = passed;
    switch_stack(&fiber->stack_pointer, scheduler);
}

void begin() {  // a fiber's first function; it never returns
    body(arguments);
    Fiber* fiber = me();
    check_copies(fiber);
    Meeting& warp = warp_meetings[fiber->number / 32];
    meeting.living--;
    warp.living--;
    open_if_complete(meeting);  // a thread that has ended holds nobody up
    open_if_complete(warp);
    pause(ENDED, 0);
    abort();
}

void prepare(Fiber& fiber, int n) {
    fiber.state = READY;
    fiber.groups.clear();
    fiber.open.clear();
    void** top = reinterpret_cast<void**>(stacks + STACK * (n + 1));
#if defined(__x86_64__)
    *--top = nullptr;  // begin() finds the stack as after a call: 8 bytes off a multiple of 16
    *--top = reinterpret_cast<void*>(&begin);
    for (int i = 0; i < KEPT; i++) *--top = nullptr;
#else
    top -= 20;
    for (int i = 0; i < 20; i++) top[i] = nullptr;
    top[11] = reinterpret_cast<void*>(&begin);
#endif
    fiber.stack_pointer = top;
}

bool waits(const Fiber& fiber) {
    if (fiber.state == AT_BARRIER) return meeting.opened == fiber.passed;
    if (fiber.state == AT_WARP_BARRIER) return warp_meetings[fiber.number / 32].opened == fiber.passed;
    return fiber.state == ENDED;
}

void run_block(unsigned order, unsigned& random) {
    if (stacks_held < threads) {
        if (stacks) munmap(stacks, STACK * stacks_held);
        stacks = static_cast<char*>(mmap(nullptr, STACK * threads, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        stacks_held = threads;
    }
#if defined(__SANITIZE_ADDRESS__)
    if (left_in_the_middle) ASAN_UNPOISON_MEMORY_REGION(stacks, STACK * stacks_held);  // no stack holds live variables now
    left_in_the_middle = false;
#endif
    std::vector<int> turn(threads);
    for (int i = 0; i < threads; i++) {
        turn[i] = order == 1 ? threads - 1 - i : i;
        prepare(fibers[i], i);
    }
    meeting = {0, threads, 0};
    for (size_t i = 0; i < warps.size(); i++) warp_meetings[i] = {0, min(32, threads - int(i) * 32), 0};
    while (meeting.living) {
        bool moved = false;
        for (int i = threads - 1; order >= 2 && i > 0; i--) {
            random = random * 1664525u + 1013904223u;
            std::swap(turn[i], turn[(random >> 8) % (i + 1)]);
        }
        for (int i : turn) {
            if (waits(fibers[i])) continue;
            fibers[i].state = READY;
            current = &fibers[i];
            moved = true;
            switch_stack(&scheduler, fibers[i].stack_pointer);
        }
        if (!moved) {
            fail("deadlock: a barrier was not reached by all threads");
            left_in_the_middle = true;
            return;
        }
    }
}

}  // namespace

void barrier(const char* file, int line) {
    if (meeting.arrived == 0) {
        barrier_file = file;
        barrier_line = line;
    } else if (barrier_line != line || strcmp(barrier_file, file)) {
        char text[400];
        snprintf(text, sizeof text, "__syncthreads() of one block at two places, %.150s:%d and %.150s:%d", barrier_file,
                 barrier_line, file, line);
        fail(text);
    }
    unsigned passed = meeting.opened;
    meeting.arrived++;
    open_if_complete(meeting);
    pause(AT_BARRIER, passed);
}

void warp_barrier(unsigned mask) {
    if (mask != 0xffffffffu) fail("a warp operation without all 32 lanes in its mask: the kernels here use whole warps");
    Meeting& warp = warp_meetings[me()->number / 32];
    unsigned passed = warp.opened;
    warp.arrived++;
    open_if_complete(warp);
    pause(AT_WARP_BARRIER, passed);
}

void lock() {}
void unlock() {}
