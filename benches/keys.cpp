#include <string>
#include <thread>
#include <vector>

#include "bench.hpp"
#include "floor.hpp"

namespace {

constexpr size_t kWriters = 8;

/* Writes the keys [from, to) of a full store, which no benchmark reads. */
void fill(const Requests& requests, const std::string& endpoint, size_t from, size_t to) {
    const std::string value(64, 'f');
    std::vector<std::thread> writers;
    for (size_t writer = 0; writer < kWriters; ++writer) {
        writers.emplace_back([&, writer] {
            Wire wire(endpoint);
            std::vector<Place> batch;
            for (size_t i = from + writer; i < to; i += kWriters) {
                const Place place = requests.store(format("fill/%08zu", i));
                if (requests.v2()) {
                    wire.ask(requests.set(place, value));
                    continue;
                }
                batch.push_back(place);
                if (batch.size() == 100) {
                    wire.ask(requests.set_many(batch, value));
                    batch.clear();
                }
            }
            if (!batch.empty()) wire.ask(requests.set_many(batch, value));
        });
    }
    for (std::thread& writer : writers) writer.join();
}

}  // namespace

/* Two etcds, one with 10 keys and one that fills up, are asked turn by turn. */
void bench_keys(const Bench& bench) {
    const Etcd large(bench.binary, bench.folder, bench.v2);
    const Etcd small(bench.binary, bench.folder, bench.v2);
    const Requests to_large(bench.v2, large.endpoint()), to_small(bench.v2, small.endpoint());
    const Client in_large(large.endpoint(), bench.v2, "bench");
    const Client in_small(small.endpoint(), bench.v2, "bench");
    Wire wire(large.endpoint());
    in_large.set("key", std::string(64, 'v'));
    in_small.set("key", std::string(64, 'v'));
    fill(to_small, small.endpoint(), 1, 10);
    const std::string floor = to_large.get(to_large.store("key"));
    size_t filled = 1;
    for (const size_t count : {10u, 100u, 1000u, 10000u, 100000u}) {
        fill(to_large, large.endpoint(), filled, count);
        filled = count;
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        const auto call = [&] { in_large.get("key"); };
        const auto samples = interleave(
            bench.rounds, {call, [&] { wire.ask(floor); }, [&] { in_small.get("key"); }});
        bench.report.compare(format("get with %zu keys", count), samples[0], samples[1],
                             cost_of(50, call));
        const double p50 = percentile(samples[0], 0.5), with_ten = percentile(samples[2], 0.5);
        bench.report.note(
            format("\"operation\":\"keys\",\"keys\":%zu,\"p50_us\":%.1f,\"floor_p50_us\":%.1f,"
                   "\"with_10_keys_p50_us\":%.1f,\"ratio\":%.3f",
                   count, p50, percentile(samples[1], 0.5), with_ten, p50 / with_ten),
            format("  %zu keys / 10 keys: %.2f", count, p50 / with_ten));
    }
}
