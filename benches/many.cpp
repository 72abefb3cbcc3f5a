#include <algorithm>
#include <string>
#include <vector>

#include "bench.hpp"
#include "floor.hpp"

namespace {

constexpr size_t kMost = 1000;
constexpr size_t kChunk = 128; /* the operations that etcd takes in one transaction */

struct Keys {
    std::vector<std::string> names;
    std::vector<const char*> pointers;
    std::vector<Place> places;
};

Keys keys_of(const Requests& requests, size_t count) {
    Keys keys;
    for (size_t i = 0; i < count; ++i) {
        keys.names.push_back(format("many/%04zu", i));
        keys.places.push_back(requests.store(keys.names.back()));
    }
    for (const std::string& name : keys.names) keys.pointers.push_back(name.c_str());
    return keys;
}

/* What the library asks for these keys: under v2 one by one, under v3 up to 128 at a time. */
std::vector<std::string> requests_of(const Requests& requests, const Keys& keys, bool presence) {
    std::vector<std::string> all;
    if (requests.v2() || keys.places.size() == 1) {
        for (const Place& place : keys.places) all.push_back(requests.get(place, presence));
        return all;
    }
    for (size_t at = 0; at < keys.places.size(); at += kChunk) {
        const size_t end = std::min(at + kChunk, keys.places.size());
        const auto first = keys.places.begin();
        all.push_back(requests.get_many(
            {first + static_cast<std::ptrdiff_t>(at), first + static_cast<std::ptrdiff_t>(end)},
            presence));
    }
    return all;
}

}  // namespace

void bench_many(const Bench& bench) {
    const Client client(bench.etcd.endpoint(), bench.v2, "bench");
    Wire wire(bench.etcd.endpoint());
    for (const std::string& name : keys_of(bench.requests, kMost).names) {
        client.set(name.c_str(), std::string(64, 'v'));
    }
    for (const size_t count : {size_t{1}, size_t{10}, size_t{128}, kMost}) {
        const Keys keys = keys_of(bench.requests, count);
        const size_t share = bench.v2 ? count : count / 8 + 1;
        const size_t rounds = std::max<size_t>(bench.rounds / 2 / share, 5);
        for (const bool presence : {true, false}) {
            const auto requests = requests_of(bench.requests, keys, presence);
            const auto call = [&] {
                presence ? client.check(keys.pointers) : client.multi_get(keys.pointers);
            };
            const auto floor = [&] {
                for (const std::string& request : requests) wire.ask(request);
            };
            const auto samples = interleave(rounds, {call, floor});
            const char* name = presence ? "check" : "multi_get";
            bench.report.compare(format("%s of %zu", name, count), samples[0], samples[1],
                                 cost_of(3, call));
        }
    }
}
