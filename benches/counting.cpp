/*
 * Counts the allocations of each thread: these definitions stand before the C library's, for this
 * program and for librdzv.so, and pass everything on to them.
 */
#include <cstddef>
#include <cstdint>

#include "measure.hpp"

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
}

namespace {

thread_local Allocations counted __attribute__((tls_model("initial-exec"))) = {0, 0};

void count(size_t bytes) {
    ++counted.count;
    counted.bytes += bytes;
}

}  // namespace

extern "C" {

void* malloc(size_t size) {
    count(size);
    return __libc_malloc(size);
}

void* calloc(size_t number, size_t size) {
    count(number * size);
    return __libc_calloc(number, size);
}

void* realloc(void* old, size_t size) {
    count(size);
    return __libc_realloc(old, size);
}
}

Allocations allocations() {
    return counted;
}

Cost cost_of(size_t count, const std::function<void()>& call) {
    const auto times = static_cast<double>(count);
    Cost cost;
    {
        const RequestCount requests;
        for (size_t i = 0; i < count; ++i) call();
        cost.requests = static_cast<double>(requests.value()) / times;
    }
    const Allocations before = allocations();
    for (size_t i = 0; i < count; ++i) call();
    const Allocations after = allocations();
    cost.allocations = static_cast<double>(after.count - before.count) / times;
    cost.bytes = static_cast<double>(after.bytes - before.bytes) / times;
    return cost;
}
