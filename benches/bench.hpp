/* The parts of rdzv_bench. */
#ifndef RDZV_BENCHES_BENCH_HPP
#define RDZV_BENCHES_BENCH_HPP

#include <string>

#include "measure.hpp"
#include "requests.hpp"
#include "subject.hpp"

struct Bench {
    std::string binary; /* of etcd; "" for what librdzv finds */
    std::string folder; /* where etcds keep their data */
    bool v2;
    size_t rounds; /* of each operation; the slow ones take fewer */
    const Etcd& etcd;
    const Requests& requests;
    Report& report;
};

/* Each operation on its own, by one thread. */
void bench_single(const Bench& bench);

/* check and multi_get of many keys. */
void bench_many(const Bench& bench);

/* get against the number of keys in the store. */
void bench_keys(const Bench& bench);

/* From a set on another connection to the return of a get that waits, for one waiter. */
void bench_wake(const Bench& bench);

/* The same against the number of waiters. */
void bench_waiters(const Bench& bench);

/* Several threads adding to one counter. */
void bench_contention(const Bench& bench);

/* Connecting, and threads started. */
void bench_weight(const Bench& bench);

#endif
