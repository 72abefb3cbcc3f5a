#include <filesystem>
#include <iterator>

#include "bench.hpp"
#include "floor.hpp"

namespace {

size_t threads() {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return static_cast<size_t>(std::distance(begin(tasks), end(tasks)));
}

}  // namespace

void bench_weight(const Bench& bench) {
    const std::string endpoint = bench.etcd.endpoint();
    const size_t before = threads();
    uint64_t until_created = 0, until_first = 0;
    {
        const RequestCount requests;
        const Client client(endpoint, bench.v2, "weight");
        until_created = requests.value();
        rdzv_bytes state = {};
        uint64_t token = 0;
        rdzv_get_state(client.backend(), &state, &token);
        rdzv_bytes_free(&state);
        until_first = requests.value();
        client.set("weight", "1");
        client.get("weight");
        client.add("weight/sum", 1);
    }
    const size_t after = threads();
    bench.report.note(format("\"operation\":\"weight\",\"requests_to_create\":%zu,"
                             "\"requests_to_first_result\":%zu,\"threads_started\":%zu",
                             size_t{until_created}, size_t{until_first}, after - before),
                      format("create_backend: %zu requests, to the first result %zu; threads "
                             "started: %zu",
                             size_t{until_created}, size_t{until_first}, after - before));
    const std::string get = bench.requests.get(bench.requests.store("weight"));
    const auto call = [&] { Client(endpoint, bench.v2, "weight").get("weight"); };
    const auto floor = [&] {
        Wire wire(endpoint);
        wire.ask(get);
        wire.ask(get);
    };
    const auto samples = interleave(bench.rounds / 8 + 1, {call, floor});
    bench.report.compare("connect, get, close / 2 gets", samples[0], samples[1], cost_of(10, call));
}
