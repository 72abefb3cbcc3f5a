// How joining grows with the number of nodes: N threads of this process, each a node of one run,
// join at once.
//
//   handler_scale [N…]            16, 64 and 256 if not given
//   handler_scale beats [N…]      then they work for 30 s, and beat their hearts
//   handler_scale serve           an etcd with the v2 API until the input ends; prints its endpoint
//
// The etcd is the one of RDZV_ENDPOINT, else one of its own; RDZV_TEST_API says which API: auto
// (default), v2 or v3. For each N one line: the time from the last node's first request to the last
// one's return, which leaves out the random start of up to 0.3 s; the requests and the lost
// compare-and-sets of each node, on average; the largest time of a node. With `beats` another: the
// heartbeats that were written, of those due in that time; the writes lost; the bytes written; the
// oldest heartbeat that the node of rank 0 saw, once a second; how often one failed.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <rdzv.hpp>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;

std::atomic<long> requests, writes, failures;
// When this thread sent its first request since the last zero.
thread_local Clock::time_point first_request;

void count(std::int32_t level, std::string_view line) {
    if (level != RDZV_LOG_TRACE) {
        return;
    }
    ++requests;
    writes += line.rfind("PUT ", 0) == 0 || line.find("/kv/txn") != std::string_view::npos ? 1 : 0;
    if (first_request == Clock::time_point()) {
        first_request = Clock::now();
    }
}

std::string variable(const char *name, const char *otherwise) {
    const char *value = std::getenv(name);
    return value == nullptr || value[0] == '\0' ? otherwise : value;
}

rdzv::Params params_of(const std::string &endpoint, const std::string &run_id, int nodes) {
    rdzv::Params params("etcd", endpoint, run_id, nodes, nodes);
    params.set("api", variable("RDZV_TEST_API", "auto"))
        .set_config("local_addr=localhost,join_timeout=300");
    return params;
}

// The writes that etcd has made, as its own counter of them.
std::uint64_t revision(const std::string &endpoint, int nodes, const char *when) {
    auto [backend, store] = rdzv::create_backend(
        params_of(endpoint, std::string("mark") + when + std::to_string(nodes), 1));
    return backend.set_state("mark")->token;
}

// The oldest heartbeat of a participant, in seconds, as `handler` knows them.
double oldest_beat(const rdzv::Handler &handler) {
    const std::string status = handler.status_json(), name = "\"heartbeat_age_s\":";
    double oldest = 0;
    for (std::size_t at = 0; (at = status.find(name, at)) != std::string::npos; ++at) {
        oldest = std::max(oldest, std::strtod(status.c_str() + at + name.size(), nullptr));
    }
    return oldest;
}

// The handlers, which have joined, only beat their hearts meanwhile.
void watch_beats(const std::string &endpoint, const rdzv::Handler &first, int count) {
    constexpr int kSeconds = 30, kInterval = 5;
    const std::uint64_t before = revision(endpoint, count, "still");
    const long writes_before = writes, failures_before = failures;
    double oldest = 0;
    for (int second = 0; second < kSeconds; ++second) {
        std::this_thread::sleep_for(std::chrono::seconds(1));
        oldest = std::max(oldest, oldest_beat(first));
    }
    // One write is the mark's own.
    const long tried = writes - writes_before - 1;
    const auto made = static_cast<long>(revision(endpoint, count, "over") - before - 1);
    rdzv::Params params = params_of(endpoint, "scale" + std::to_string(count), count);
    const auto size = rdzv::create_backend(params).backend.get_state()->value.size();
    std::printf(
        "%4d nodes: %5ld of %5d heartbeats in %d s, %5.2f lost writes for each, %7.1f KB each and "
        "%9.1f KB/s, the oldest %4.1f s, %ld failed\n",
        count, made, count * kSeconds / kInterval, kSeconds,
        static_cast<double>(tried - made) / static_cast<double>(made),
        static_cast<double>(size) / 1e3, static_cast<double>(size) * made / 1e3 / kSeconds, oldest,
        failures - failures_before);
}

struct Node {
    Clock::time_point first, returned;
    std::uint64_t rank = 0;
    std::exception_ptr error;
};

void join(const rdzv::Handler &handler, Node &node) {
    try {
        first_request = Clock::time_point();
        const rdzv::Rendezvous place = handler.next_rendezvous();
        node = {first_request, Clock::now(), place.rank, nullptr};
    } catch (...) {
        node.error = std::current_exception();
    }
}

void measure(const std::string &endpoint, int count, bool beats) {
    const auto size = static_cast<std::size_t>(count);
    std::vector<rdzv::Handler> handlers;
    for (std::size_t i = 0; i < size; ++i) {
        handlers.emplace_back(params_of(endpoint, "scale" + std::to_string(count), count));
        handlers.back().set_event_callback([](std::int32_t kind, std::string_view) {
            failures += kind == RDZV_EVENT_HEARTBEAT_FAILED ? 1 : 0;
        });
    }
    std::vector<Node> nodes(size);
    const std::uint64_t before = revision(endpoint, count, "before");
    requests = 0;
    writes = 0;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < size; ++i) {
        threads.emplace_back([&, i] { join(handlers[i], nodes[i]); });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    const long sent = requests, tried = writes;
    const auto made = static_cast<long>(revision(endpoint, count, "after") - before - 1);
    std::vector<bool> taken(size);
    Clock::time_point last_first, last_return;
    Clock::duration longest{};
    for (const Node &node : nodes) {
        if (node.error) {
            std::rethrow_exception(node.error);
        }
        if (node.rank >= size || taken[node.rank]) {
            throw std::runtime_error("a rank is taken twice");
        }
        taken[node.rank] = true;
        last_first = std::max(last_first, node.first);
        last_return = std::max(last_return, node.returned);
        longest = std::max(longest, node.returned - node.first);
    }
    using Milliseconds = std::chrono::duration<double, std::milli>;
    std::printf(
        "%4d nodes: %8.1f ms from the last join to the last return, %6.1f requests and %5.1f lost "
        "writes a node, %8.1f ms at most\n",
        count, Milliseconds(last_return - last_first).count(), static_cast<double>(sent) / count,
        static_cast<double>(tried - made) / count, Milliseconds(longest).count());
    if (beats) {
        const auto first = std::find_if(nodes.begin(), nodes.end(),
                                        [](const Node &node) { return node.rank == 0; });
        watch_beats(endpoint, handlers[static_cast<std::size_t>(first - nodes.begin())], count);
    }
}

void serve() {
    rdzv::ServerOptions options;
    const rdzv::Server server(options.set("enable_v2", "true"));
    std::printf("%s\n", server.endpoint().c_str());
    while (std::getchar() != EOF) {
    }
}

}  // namespace

int main(int argc, char **argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    try {
        if (argc == 2 && std::string(argv[1]) == "serve") {
            serve();
            return 0;
        }
        std::optional<rdzv::Server> server;
        std::string endpoint = variable("RDZV_ENDPOINT", "");
        if (endpoint.empty()) {
            rdzv::ServerOptions options;
            const std::string api = variable("RDZV_TEST_API", "auto");
            options.set("enable_v2", api == "v2" ? "true" : api == "v3" ? "false" : "auto");
            server.emplace(options);
            endpoint = server->endpoint();
        }
        rdzv::set_log_callback(RDZV_LOG_TRACE, count);
        std::vector<int> counts;
        const bool beats = argc > 1 && std::string(argv[1]) == "beats";
        for (int i = beats ? 2 : 1; i < argc; ++i) {
            counts.push_back(std::atoi(argv[i]));
        }
        for (const int count : counts.empty() ? std::vector<int>{16, 64, 256} : counts) {
            measure(endpoint, count, beats);
        }
        return 0;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
