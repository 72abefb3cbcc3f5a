#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench.hpp"

namespace {

/* `count` threads add 1 `times` times each; each through a client of its own, as in processes of
   their own, or all through one. */
void contend(const Bench& bench, size_t count, bool own) {
    const size_t times = std::max<size_t>(bench.rounds / 16, 10);
    const std::string key = format("contention/%zu/%d", count, own);
    std::vector<std::unique_ptr<Client>> clients;
    for (size_t i = 0; i < (own ? count : 1); ++i) {
        clients.push_back(std::make_unique<Client>(bench.etcd.endpoint(), bench.v2, "bench"));
        clients.back()->add(key.c_str(), 0);
    }
    double seconds = 0, requests_each = 0;
    std::vector<Samples> samples(count);
    {
        const RequestCount requests;
        const auto start = Clock::now();
        std::vector<std::thread> threads;
        for (size_t i = 0; i < count; ++i) {
            threads.emplace_back([&, i] {
                const Client& client = *clients[own ? i : 0];
                for (size_t turn = 0; turn < times; ++turn) {
                    const auto begin = Clock::now();
                    client.add(key.c_str(), 1);
                    samples[i].push_back(micros(begin, Clock::now()));
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        seconds = micros(start, Clock::now()) / 1e6;
        requests_each = static_cast<double>(requests.value()) / static_cast<double>(count * times);
    }
    const bool exact = clients[0]->add(key.c_str(), 0) == static_cast<int64_t>(count * times);
    Samples all;
    for (const Samples& each : samples) all.insert(all.end(), each.begin(), each.end());
    const double rate = static_cast<double>(count * times) / seconds;
    bench.report.note(
        format("\"operation\":\"contention\",\"threads\":%zu,\"clients\":%zu,\"adds_per_s\":%.0f,"
               "\"requests\":%.2f,\"p50_us\":%.0f,\"p99_us\":%.0f,\"exact\":%s",
               count, clients.size(), rate, requests_each, percentile(all, 0.5),
               percentile(all, 0.99), exact ? "true" : "false"),
        format("%2zu threads, %2zu clients: %.0f adds/s, %.2f requests each, p50 %.0f us, p99 %.0f "
               "us, %s",
               count, clients.size(), rate, requests_each, percentile(all, 0.5),
               percentile(all, 0.99), exact ? "every count exact" : "COUNTS LOST"));
    if (!exact) std::exit(1);
}

}  // namespace

void bench_contention(const Bench& bench) {
    for (const size_t threads : {1u, 8u, 16u}) {
        contend(bench, threads, true);
        if (threads > 1) contend(bench, threads, false);
    }
}
