// The threads of a block as threads of the system, for the thread sanitizer. Included by on_cpu.cpp, inside its namespace.
#pragma once

namespace {

std::unique_ptr<std::barrier<>> block_barrier;
std::vector<std::unique_ptr<std::barrier<>>> warp_barriers;
std::mutex atomic;

void run_block(unsigned, unsigned&) {
    block_barrier = std::make_unique<std::barrier<>>(threads);
    warp_barriers.clear();
    for (int first = 0; first < threads; first += 32)
        warp_barriers.push_back(std::make_unique<std::barrier<>>(min(32, threads - first)));
    std::vector<std::thread> running;
    for (int i = 0; i < threads; i++)
        running.emplace_back([i] {
            current = &fibers[i];
            fibers[i].groups.clear();
            fibers[i].open.clear();
            body(arguments);
            check_copies(&fibers[i]);
            block_barrier->arrive_and_drop();
            warp_barriers[i / 32]->arrive_and_drop();
        });
    for (std::thread& thread : running) thread.join();
}

}  // namespace

void barrier(const char*, int) { block_barrier->arrive_and_wait(); }
void warp_barrier(unsigned) { warp_barriers[me()->number / 32]->arrive_and_wait(); }
void lock() { atomic.lock(); }
void unlock() { atomic.unlock(); }
