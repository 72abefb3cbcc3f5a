// N processes find each other through etcd, make a Gloo process group over rdzv::C10dStore and
// all-reduce a tensor.
//
//   torch_allreduce N                            all N on this host, over an etcd of its own
//   torch_allreduce N --endpoint host:port       over that etcd
//   torch_allreduce N --endpoint host:port --run-id ID --join [--rank R]
//                                                one process of N; without a rank, the next one
//                                                that is free
//
//   --api v2|v3 (default auto)    --on INTERFACE-OR-ADDRESS (default 127.0.0.1)
//   --options KEY=VALUE,...       more of the library's options
//
// Prints for each process the sum, the time from the start signal to the end of the first
// collective, and the requests that etcd got from it; for all N at the end the longest time and the
// sum of the requests.
#include <sys/mman.h>
#include <sys/wait.h>
#include <torch/types.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <iostream>
#include <rdzv/c10d_gloo.hpp>

namespace {

struct Settings {
    int size = 0;
    int rank = -1;
    bool join = false;
    std::string endpoint;
    std::string run_id;
    std::string api = "auto";
    std::string options;
    std::string where = "127.0.0.1";
};

// What a process found, in memory that parent and children share.
struct Result {
    double milliseconds;
    int requests;
};

// The process's part, from the first contact with etcd to the first collective.
Result run(const Settings& settings) {
    static std::atomic<int> requests;
    requests = 0;
    rdzv::set_log_callback(RDZV_LOG_TRACE, [](std::int32_t level, std::string_view) {
        requests += level == RDZV_LOG_TRACE ? 1 : 0;
    });
    const auto start = std::chrono::steady_clock::now();

    rdzv::Params params("etcd", settings.endpoint, settings.run_id, settings.size, settings.size);
    params.set("api", settings.api);
    if (!settings.options.empty()) {
        params.set_config(settings.options);
    }
    auto [backend, whole_store] = rdzv::create_backend(params);
    const rdzv::Store store = whole_store.with_prefix(settings.run_id);
    const auto size = settings.size;
    const auto rank =
        settings.rank < 0 ? static_cast<int>(store.add("rank", 1) - 1) : settings.rank;
    auto group = rdzv::make_gloo_group(store.with_prefix("gloo"), rank, size, settings.where,
                                       std::chrono::seconds(60));

    std::vector<torch::Tensor> tensors = {torch::full({4}, static_cast<float>(rank + 1))};
    group->allreduce(tensors)->wait();

    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    const float sum = tensors[0][3].item<float>();
    std::printf("rank %d of %d over %s: sum %g, first collective after %.1f ms, %d requests\n",
                rank, size, backend.name().c_str(), sum, took.count(), requests.load());
    if (sum != static_cast<float>(size * (size + 1)) / 2) {
        throw std::runtime_error("the sum is wrong");
    }
    return {took.count(), requests.load()};
}

// Runs `body`; 0 unless it throws.
template <typename Body>
int status_of(Body body) {
    try {
        body();
        return 0;
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}

// Starts all processes, lets them go at once, and prints what they found.
int launch(const Settings& settings) {
    const auto size = static_cast<std::size_t>(settings.size);
    void* memory = mmap(nullptr, size * sizeof(Result), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int gate[2];
    if (memory == MAP_FAILED || pipe(gate) != 0) {
        throw std::runtime_error("no memory or no pipe");
    }
    auto* results = static_cast<Result*>(memory);
    std::vector<pid_t> children;
    for (std::size_t i = 0; i < size; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            close(gate[1]);
            char end;
            (void)!read(gate[0], &end, 1);  // returns when the parent closes the other end
            const int status = status_of([&] { results[i] = run(settings); });
            std::fflush(stdout);
            _exit(status);
        }
        children.push_back(child);
    }
    close(gate[0]);
    close(gate[1]);
    bool failed = false;
    for (const pid_t child : children) {
        int status = 0;
        failed |= child < 0 || waitpid(child, &status, 0) != child || status != 0;
    }
    Result all = {0, 0};
    for (std::size_t i = 0; i < size; ++i) {
        all.milliseconds = std::max(all.milliseconds, results[i].milliseconds);
        all.requests += results[i].requests;
    }
    std::printf("N=%zu: first collective after %.1f ms, %d requests\n", size, all.milliseconds,
                all.requests);
    return failed ? 1 : 0;
}

Settings read(int argc, char** argv) {
    Settings settings;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument == "--join") {
            settings.join = true;
        } else if (argument.rfind("--", 0) != 0) {
            settings.size = std::stoi(argument);
        } else if (++i == argc) {
            throw std::invalid_argument(argument + " needs a value");
        } else if (argument == "--rank") {
            settings.rank = std::stoi(argv[i]);
        } else if (argument == "--endpoint") {
            settings.endpoint = argv[i];
        } else if (argument == "--run-id") {
            settings.run_id = argv[i];
        } else if (argument == "--api") {
            settings.api = argv[i];
        } else if (argument == "--options") {
            settings.options = argv[i];
        } else if (argument == "--on") {
            settings.where = argv[i];
        } else {
            throw std::invalid_argument(argument + " is not known");
        }
    }
    if (settings.size < 1 || (settings.join && settings.run_id.empty())) {
        throw std::invalid_argument("how many processes, and which run?");
    }
    return settings;
}

}  // namespace

int main(int argc, char** argv) {
    return status_of([&] {
        Settings settings = read(argc, argv);
        std::optional<rdzv::Server> server;
        if (settings.endpoint.empty()) {
            server.emplace();
            settings.endpoint = server->endpoint();
        }
        if (settings.run_id.empty()) {
            // Ranks are counted in the store, so each run needs a name of its own.
            settings.run_id =
                "run-" + std::to_string(getpid()) + "-" + std::to_string(time(nullptr));
        }
        if (settings.join) {
            run(settings);
        } else if (launch(settings) != 0) {
            throw std::runtime_error("a process failed");
        }
    });
}
