/*
 * Thousands of waiters and ranks on one machine.
 *
 *   rdzv_scale [--api v2|v3] [--etcd BINARY] [--data FOLDER] [--json FILE] [--waiters N]
 *              [--ranks N,N,...]
 *
 * The API is v3, or what RDZV_TEST_API says; etcd is one of its own, with its data below FOLDER.
 * Waiters are threads that block in rdzv_store_get() on one key; all must be released within 5 s of
 * its set, or the program fails. Ranks are threads with a client each, as in processes of their
 * own: every one sets its address, and reads those of all others by one rdzv_store_multi_get().
 * They do it twice, once for the time, and once through a proxy that counts bytes.
 */
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "floor.hpp"
#include "measure.hpp"
#include "proxy.hpp"
#include "requests.hpp"
#include "subject.hpp"

namespace {

constexpr double kReleaseSeconds = 5;

struct Options {
    bool v2 = false;
    std::string binary, folder, json, ranks = "64,256,1024";
    size_t waiters = 4096;
};

/* This process and the etcd it starts need a descriptor for each connection. */
void raise_file_limit(size_t connections) {
    const rlim_t wanted = connections + 256;
    rlimit limit = {};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted) return;
    limit.rlim_cur = wanted;
    if (limit.rlim_max < wanted) limit.rlim_max = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        std::fprintf(stderr,
                     "rdzv_scale: %zu connections need %zu file descriptors, and the limit is "
                     "lower: raise it with 'ulimit -n %zu' (as root: 'ulimit -Hn' first)\n",
                     connections, static_cast<size_t>(wanted), static_cast<size_t>(wanted));
        std::exit(1);
    }
}

/* The memory in use, in KiB. */
size_t resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.rfind("VmRSS:", 0) == 0) return number_after(line, "VmRSS:\t");
    }
    return 0;
}

/* What etcd says of itself. */
double metric(const std::string& endpoint, const std::string& name) {
    Wire wire(endpoint);
    const std::string body(wire.ask("GET /metrics HTTP/1.1\r\nhost: " + endpoint + "\r\n\r\n"));
    const size_t at = body.find("\n" + name + " ");
    return at == std::string::npos ? 0 : std::strtod(&body[at + name.size() + 2], nullptr);
}

size_t etcd_kib(const std::string& endpoint) {
    return static_cast<size_t>(metric(endpoint, "process_resident_memory_bytes") / 1024);
}

/* Many threads with small stacks. */
class Crowd {
  public:
    void add(std::function<void()> body) {
        bodies_.push_back(std::make_unique<std::function<void()>>(std::move(body)));
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 256 * 1024);
        pthread_t thread;
        const int failed = pthread_create(&thread, &attributes, run, bodies_.back().get());
        pthread_attr_destroy(&attributes);
        if (failed != 0) {
            std::fprintf(stderr, "rdzv_scale: thread %zu: %s\n", threads_.size(),
                         std::strerror(failed));
            std::exit(1);
        }
        threads_.push_back(thread);
    }

    void join() {
        for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
        threads_.clear();
    }

  private:
    static void* run(void* body) {
        (*static_cast<std::function<void()>*>(body))();
        return nullptr;
    }

    std::vector<std::unique_ptr<std::function<void()>>> bodies_;
    std::vector<pthread_t> threads_;
};

void sleep_ms(size_t ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

/* Waits until all wait, and etcd has nothing left to do. */
void gather(const Options& options, const std::string& endpoint) {
    const char* watchers =
        options.v2 ? "etcd_debugging_store_watchers" : "etcd_debugging_mvcc_watcher_total";
    const auto start = Clock::now();
    while (metric(endpoint, watchers) < static_cast<double>(options.waiters)) {
        if (micros(start, Clock::now()) > 120e6) {
            std::fprintf(stderr, "rdzv_scale: only %.0f waiters wait after two minutes\n",
                         metric(endpoint, watchers));
            std::exit(1);
        }
        sleep_ms(50);
    }
    const char* used = "process_cpu_seconds_total";
    for (double before = 0, now = metric(endpoint, used); now - before > 0.02;) {
        sleep_ms(200);
        before = now;
        now = metric(endpoint, used);
    }
}

void release_waiters(const Options& options, const Etcd& etcd, Report& report) {
    raise_file_limit(options.waiters);
    const Client client(etcd.endpoint(), options.v2, "scale");
    const std::string endpoint = etcd.endpoint();
    const size_t before = resident_kib(), etcd_before = etcd_kib(endpoint);
    std::vector<Clock::time_point> released(options.waiters);
    Crowd crowd;
    double gathering = 0, requests_each = 0;
    {
        const RequestCount requests;
        const auto start = Clock::now();
        for (size_t i = 0; i < options.waiters; ++i) {
            crowd.add([&, i] {
                client.get("scale/go");
                released[i] = Clock::now();
            });
        }
        gather(options, endpoint);
        gathering = micros(start, Clock::now()) / 1e6;
        requests_each =
            static_cast<double>(requests.value()) / static_cast<double>(options.waiters);
    }
    const size_t during = resident_kib(), etcd_during = etcd_kib(endpoint);
    const auto start = Clock::now();
    client.set("scale/go", "1");
    crowd.join();
    Samples samples;
    for (const auto& end : released) samples.push_back(micros(start, end) / 1e6);
    const double last = percentile(samples, 1);
    const auto kib = static_cast<double>(during - before) / static_cast<double>(options.waiters);
    const auto kib_in_etcd =
        static_cast<double>(etcd_during - etcd_before) / static_cast<double>(options.waiters);
    report.note(format("\"operation\":\"release\",\"waiters\":%zu,\"gathering_s\":%.2f,"
                       "\"half_s\":%.3f,\"last_s\":%.3f,\"requests_each\":%.2f,\"kib_each\":%.1f,"
                       "\"etcd_kib_each\":%.1f",
                       options.waiters, gathering, percentile(samples, 0.5), last, requests_each,
                       kib, kib_in_etcd),
                format("%zu waiters: all waiting after %.1f s, with %.2f requests, %.0f KiB here "
                       "and %.0f KiB in etcd each; half released after %.0f ms, all after %.0f ms",
                       options.waiters, gathering, requests_each, kib, kib_in_etcd,
                       percentile(samples, 0.5) * 1e3, last * 1e3));
    if (last > kReleaseSeconds) {
        std::fprintf(stderr, "rdzv_scale: the last waiter was released after more than %.0f s\n",
                     kReleaseSeconds);
        std::exit(1);
    }
}

struct Exchange {
    double seconds = 0;
    uint64_t requests = 0;
    size_t kib = 0;
};

/* All ranks set their keys and read those of all, through `endpoint`. */
Exchange exchange(bool v2, const std::string& endpoint, const std::string& round, size_t count) {
    const size_t before = resident_kib();
    std::vector<std::string> names;
    for (size_t i = 0; i < count; ++i) names.push_back(format("%s/%05zu", round.c_str(), i));
    std::vector<const char*> keys;
    for (const std::string& name : names) keys.push_back(name.c_str());
    std::vector<std::unique_ptr<Client>> clients;
    for (size_t i = 0; i < count; ++i) {
        clients.push_back(std::make_unique<Client>(endpoint, v2, "scale"));
    }
    Exchange result;
    const RequestCount requests;
    const auto start = Clock::now();
    Crowd crowd;
    for (size_t i = 0; i < count; ++i) {
        crowd.add([&, i] {
            clients[i]->set(keys[i], format("%-64s", keys[i])); /* an address of 64 bytes */
            clients[i]->multi_get(keys);
        });
    }
    crowd.join();
    result.seconds = micros(start, Clock::now()) / 1e6;
    result.requests = requests.value();
    result.kib = resident_kib() - std::min(before, resident_kib());
    return result;
}

void exchange_addresses(const Options& options, const Etcd& etcd, size_t count, Report& report) {
    raise_file_limit(count * 4);
    const Exchange direct =
        exchange(options.v2, etcd.endpoint(), format("direct/%zu", count), count);
    uint64_t sent = 0, received = 0, requests = 0;
    {
        const Proxy proxy(etcd.endpoint());
        requests =
            exchange(options.v2, proxy.endpoint(), format("proxy/%zu", count), count).requests;
        sent = proxy.sent();
        received = proxy.received();
    }
    const auto ranks = static_cast<double>(count);
    report.note(
        format("\"operation\":\"exchange\",\"ranks\":%zu,\"seconds\":%.3f,\"requests\":%zu,"
               "\"counted_requests\":%zu,\"sent_bytes\":%zu,\"received_bytes\":%zu,\"kib\":%zu,"
               "\"etcd_kib\":%zu",
               count, direct.seconds, size_t{direct.requests}, size_t{requests}, size_t{sent},
               size_t{received}, direct.kib, etcd_kib(etcd.endpoint())),
        format("%4zu ranks: %.2f s, %.1f requests each, %.1f KB sent and %.1f KB received each, "
               "%.0f KiB of memory each",
               count, direct.seconds, static_cast<double>(direct.requests) / ranks,
               static_cast<double>(sent) / ranks / 1e3, static_cast<double>(received) / ranks / 1e3,
               static_cast<double>(direct.kib) / ranks));
}

Options parse(int argc, char** argv) {
    Options options;
    const char* api = std::getenv("RDZV_TEST_API");
    if (api != nullptr && std::strcmp(api, "v2") == 0) options.v2 = true;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string name = argv[i], value = argv[i + 1];
        if (name == "--api") {
            options.v2 = value == "v2";
        } else if (name == "--etcd") {
            options.binary = value;
        } else if (name == "--data") {
            options.folder = value;
        } else if (name == "--json") {
            options.json = value;
        } else if (name == "--ranks") {
            options.ranks = value;
        } else if (name == "--waiters") {
            options.waiters = std::stoul(value);
        } else {
            std::fprintf(stderr, "rdzv_scale: %s; see the head of scale.cpp\n", name.c_str());
            std::exit(2);
        }
    }
    return options;
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = parse(argc, argv);
    /* etcd inherits the limit, and needs as many. */
    raise_file_limit(options.waiters);
    const Etcd etcd(options.binary, options.folder, options.v2);
    Report report(options.json, format("\"api\":\"%s\",\"etcd\":\"%s\",\"program\":\"scale\"",
                                       options.v2 ? "v2" : "v3", etcd.version().c_str()));
    std::printf("# %s, etcd %s\n", options.v2 ? "v2" : "v3", etcd.version().c_str());
    if (options.waiters > 0) release_waiters(options, etcd, report);
    for (const char* at = options.ranks.c_str(); *at != '\0';) {
        char* end = nullptr;
        exchange_addresses(options, etcd, std::strtoul(at, &end, 10), report);
        at = *end == ',' ? end + 1 : end;
    }
    return 0;
}
