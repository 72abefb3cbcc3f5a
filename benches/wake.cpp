#include <time.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "bench.hpp"
#include "floor.hpp"

namespace {

void sleep_ms(size_t ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

/* Waits for a write of `key` with nothing but a socket: opens a long-poll or a watch, tells that it
   is open, and blocks. */
void raw_wait(const Bench& bench, const Place& place, std::atomic<size_t>& open) {
    const std::string endpoint = bench.etcd.endpoint();
    Wire wire(endpoint);
    uint64_t index = 0;
    if (bench.v2) {
        const std::string_view body = wire.ask(bench.requests.get(place));
        index = Requests::revision(wire.head(), body);
    }
    wire.send(bench.requests.watch(place, index));
    if (bench.v2) {
        wire.receive_until("\r\n\r\n");
        ++open;
        wire.receive();
    } else {
        wire.receive_until("\"created\":true");
        ++open;
        wire.receive_until("\"events\"");
    }
}

/* Waits until all threads of this process have long been idle. */
void settle() {
    size_t idle = 0;
    timespec before = {}, after = {};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    while (idle < 3) {
        sleep_ms(3);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
        const long used =
            (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
        idle = used < 200000 ? idle + 1 : 0;
        before = after;
    }
}

/* One release of `count` waiters of `key`: microseconds from the set until each had it. */
Samples release(const Bench& bench, Wire& setter, const Client* client, const std::string& key,
                size_t count) {
    const Place place = bench.requests.store(key);
    std::vector<std::thread> waiters;
    std::vector<Clock::time_point> released(count);
    std::atomic<size_t> open{0};
    {
        const RequestCount requests;
        for (size_t i = 0; i < count; ++i) {
            waiters.emplace_back([&, i] {
                if (client != nullptr) {
                    client->get(key.c_str());
                } else {
                    raw_wait(bench, place, open);
                }
                released[i] = Clock::now();
            });
        }
        /* v2: a look and a long-poll; v3: a look, a watch, and another look. */
        const size_t wanted = client == nullptr ? count : count * (bench.v2 ? 2 : 3);
        const auto so_far = [&] { return client == nullptr ? open.load() : requests.value(); };
        while (so_far() < wanted) sleep_ms(1);
    }
    settle(); /* the last of those requests is on its way */
    const std::string set = bench.requests.set(place, "1");
    const auto start = Clock::now();
    setter.ask(set);
    for (std::thread& waiter : waiters) waiter.join();
    Samples samples;
    for (const auto& end : released) samples.push_back(micros(start, end));
    return samples;
}

}  // namespace

void bench_wake(const Bench& bench) {
    const Client client(bench.etcd.endpoint(), bench.v2, "bench");
    Wire setter(bench.etcd.endpoint());
    Samples ours, floor;
    const size_t rounds = std::min<size_t>(bench.rounds / 4 + 1, 300);
    for (size_t i = 0; i < rounds; ++i) {
        for (const bool raw : {i % 2 == 0, i % 2 != 0}) {
            const std::string key = format("wake/%c%05zu", raw ? 'f' : 'r', i);
            const Samples one = release(bench, setter, raw ? nullptr : &client, key, 1);
            (raw ? floor : ours).push_back(one.front());
        }
    }
    bench.report.compare("wake-up of a get", ours, floor, {});
}

void bench_waiters(const Bench& bench) {
    const Client client(bench.etcd.endpoint(), bench.v2, "bench");
    Wire setter(bench.etcd.endpoint());
    size_t run = 0;
    for (const size_t count : {1u, 4u, 16u, 64u, 256u, 1024u}) {
        Samples last, half, floor_last, floor_half;
        const size_t rounds = count <= 16 ? 15 : count <= 64 ? 9 : 3;
        for (size_t i = 0; i < rounds; ++i) {
            for (const bool raw : {i % 2 == 0, i % 2 != 0}) {
                const std::string key = format("waiters/%06zu", ++run);
                const Samples all = release(bench, setter, raw ? nullptr : &client, key, count);
                (raw ? floor_last : last).push_back(percentile(all, 1));
                (raw ? floor_half : half).push_back(percentile(all, 0.5));
            }
        }
        bench.report.note(
            format("\"operation\":\"waiters\",\"waiters\":%zu,\"last_us\":%.0f,"
                   "\"floor_last_us\":%.0f,\"half_us\":%.0f,\"floor_half_us\":%.0f",
                   count, percentile(last, 0.5), percentile(floor_last, 0.5), percentile(half, 0.5),
                   percentile(floor_half, 0.5)),
            format("%4zu waiters: half after %.0f us (floor %.0f), all after %.0f us (floor %.0f)",
                   count, percentile(half, 0.5), percentile(floor_half, 0.5), percentile(last, 0.5),
                   percentile(floor_last, 0.5)));
    }
}
