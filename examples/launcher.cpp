// A training launcher in small. N worker processes, which know nothing of each other but a run id and where etcd is,
// race to create the rendezvous state, join it by compare-and-set until all are in, take ranks, tell each other their
// addresses through the store, count themselves, meet at a barrier, and leave.
//
//   launcher [N]      N workers, 4 if not given. Starts an etcd of its own unless RDZV_ENDPOINT names one.
//
// Exits with 0, or with 1 and the reason. Each worker is this program again, as `launcher --worker …`: a process of its
// own, as it would be on another machine.
#include <fcntl.h>
#include <rdzv.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr uint64_t kTimeoutMs = 60000;
constexpr int kMostWorkers = 1000;

// --- The C handles, freed where they go out of scope ---

template <auto function>
struct Free {
    template <typename Handle>
    void operator()(Handle *handle) const {
        function(handle);
    }
};
using Params = std::unique_ptr<rdzv_params, Free<rdzv_free_params>>;
using Backend = std::unique_ptr<rdzv_backend, Free<rdzv_free_backend>>;
using Store = std::unique_ptr<rdzv_store, Free<rdzv_free_store>>;
using Server = std::unique_ptr<rdzv_server, Free<rdzv_free_server>>;

// A failure of the library, in its own words.
void must(rdzv_status status) {
    if (status != RDZV_STATUS_OK) {
        std::string text = rdzv_last_error_message();
        const std::string cause = rdzv_last_error_cause();
        throw std::runtime_error(std::string(rdzv_status_name(status)) + ": " + text +
                                 (cause.empty() ? "" : " (" + cause + ")"));
    }
}

// Takes the bytes that a call gives, and frees them.
std::string taken(rdzv_bytes bytes) {
    std::string text(reinterpret_cast<const char *>(bytes.data), bytes.len);
    rdzv_bytes_free(&bytes);
    return text;
}

const uint8_t *bytes_of(const std::string &text) {
    return reinterpret_cast<const uint8_t *>(text.data());
}

struct Connection {
    Backend backend;
    Store store;

    Connection(const std::string &endpoint, const std::string &run_id, int workers) {
        rdzv_params *params = nullptr;
        rdzv_backend *new_backend = nullptr;
        rdzv_store *new_store = nullptr;
        must(rdzv_create_params("etcd", endpoint.c_str(), run_id.c_str(), workers, workers, &params));
        const Params owned(params);
        // Nothing of a run is left in etcd for long.
        must(rdzv_params_set_config(params, "ttl=600,store_ttl=600"));
        must(rdzv_create_backend(params, &new_backend, &new_store));
        backend.reset(new_backend);
        rdzv_store *prefixed = nullptr;
        const Store whole(new_store);
        must(rdzv_store_with_prefix(new_store, run_id.c_str(), &prefixed));
        store.reset(prefixed);
        must(rdzv_store_set_timeout(store.get(), kTimeoutMs));
    }

    void set(const std::string &key, const std::string &value) const {
        must(rdzv_store_set(store.get(), key.c_str(), bytes_of(value), value.size()));
    }

    std::string get(const std::string &key) const {
        rdzv_bytes value = {nullptr, 0};
        must(rdzv_store_get(store.get(), key.c_str(), &value));
        return taken(value);
    }
};

// --- A worker ---

// The rendezvous state is one line for each process that has joined. Joining is adding a line under the token of the
// state that was read: whoever is late reads what has come in between and tries again. The place of the line is the
// rank.
int join(const Connection &etcd, const std::string &me, int workers) {
    std::string state;
    uint64_t token = 0;  // none: create it
    for (;;) {
        int joined = 0;
        for (const char letter : state) {
            joined += letter == '\n' ? 1 : 0;
        }
        if (joined == workers) {
            throw std::runtime_error("the run is full: " + std::to_string(workers) + " others have joined it");
        }
        const std::string mine = state + me + "\n";
        rdzv_bytes now = {nullptr, 0};
        bool has_set = false;
        must(rdzv_set_state(etcd.backend.get(), bytes_of(mine), mine.size(), token, &now, &token, &has_set));
        state = taken(now);
        if (has_set) {
            return joined;
        }
    }
}

// An address that the others could connect to: a listening socket that stays open as long as this process.
std::string listen_somewhere() {
    sockaddr_in address{};
    socklen_t len = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, reinterpret_cast<sockaddr *>(&address), len) != 0 || listen(listener, 16) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr *>(&address), &len) != 0) {
        throw std::runtime_error("no port to listen on");
    }
    return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

int work(const std::string &endpoint, const std::string &run_id, int workers) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    const Connection etcd(endpoint, run_id, workers);
    const std::string address = listen_somewhere();
    const int rank = join(etcd, std::to_string(getpid()) + " " + address, workers);
    const std::string mine = std::to_string(rank);

    // The addresses: everyone tells its own and reads all the others', waiting for those that are not there yet.
    etcd.set("address/" + mine, address);
    for (int other = 0; other < workers; other++) {
        etcd.get("address/" + std::to_string(other));
    }
    const double joined_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();

    int64_t count = 0;
    must(rdzv_store_add(etcd.store.get(), "count", 1, &count));
    char row[128];
    std::snprintf(row, sizeof row, "%-4d  %-8d  %-21s  %7.1f ms", rank, static_cast<int>(getpid()), address.c_str(),
                  joined_ms);
    etcd.set("row/" + mine, row);
    must(rdzv_store_barrier(etcd.store.get(), "end", static_cast<uint64_t>(workers), kTimeoutMs));
    // Behind the barrier all have counted.
    must(rdzv_store_add(etcd.store.get(), "count", 0, &count));
    if (count != workers) {
        throw std::runtime_error("counted " + std::to_string(count) + " workers, not " + std::to_string(workers));
    }
    return 0;
}

// --- The launcher ---

// The server that the launcher has started. Whoever holds the mutex may stop it or let go of it.
std::mutex server_mutex;
Server server;

sigset_t interrupts() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

// Ctrl-C ends the program at once, whatever it is waiting for: a thread of its own waits for nothing else. The workers
// end with the launcher.
void end_when_interrupted() {
    const sigset_t set = interrupts();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::thread([set] {
        int signal = 0;
        sigwait(&set, &signal);
        const std::lock_guard<std::mutex> guard(server_mutex);
        std::fprintf(stderr, "launcher: interrupted\n");
        server.reset();
        _exit(1);
    }).detach();
}

// Runs this program again as a worker, which ends when the launcher does.
pid_t spawn(const std::vector<std::string> &arguments) {
    std::vector<char *> raw;
    for (const std::string &argument : arguments) {
        raw.push_back(const_cast<char *>(argument.c_str()));
    }
    raw.push_back(nullptr);
    const pid_t launcher = getpid(), pid = fork();
    if (pid == 0) {
        const sigset_t set = interrupts();
        sigprocmask(SIG_UNBLOCK, &set, nullptr);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == launcher) {
            execv("/proc/self/exe", raw.data());
        }
        _exit(127);
    }
    if (pid < 0) {
        throw std::runtime_error("cannot start another process");
    }
    return pid;
}

// The worker processes. What is left of them ends with this object.
class Workers {
public:
    ~Workers() {
        for (const auto &worker : running_) {
            kill(worker.first, SIGKILL);
        }
        for (const auto &worker : running_) {
            waitpid(worker.first, nullptr, 0);
        }
    }

    void add(pid_t pid) { running_.emplace(pid, running_.size()); }

    // Until all have ended, or the first has failed.
    void wait() {
        while (!running_.empty()) {
            int status = 0;
            const pid_t pid = waitpid(-1, &status, 0);
            const auto worker = running_.find(pid);
            if (pid < 0 && errno != EINTR) {
                throw std::runtime_error("the workers cannot be waited for");
            }
            if (worker == running_.end()) {
                continue;
            }
            const size_t index = worker->second;
            running_.erase(worker);
            if (WIFSIGNALED(status)) {
                throw std::runtime_error("worker " + std::to_string(index) + " was ended by signal " +
                                         std::to_string(WTERMSIG(status)));
            }
            if (WEXITSTATUS(status) != 0) {
                throw std::runtime_error("worker " + std::to_string(index) + " has failed");
            }
        }
    }

private:
    std::map<pid_t, size_t> running_;
};

int launch(int workers) {
    end_when_interrupted();
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    std::string endpoint;
    if (const char *given = std::getenv("RDZV_ENDPOINT"); given != nullptr && given[0] != '\0') {
        endpoint = given;
        std::printf("using the etcd at %s\n", given);
    } else {
        rdzv_server *started = nullptr;
        must(rdzv_start_server(nullptr, &started));
        endpoint = rdzv_server_endpoint(started);
        const std::lock_guard<std::mutex> guard(server_mutex);
        server.reset(started);
        std::printf("started etcd %s at %s\n", rdzv_server_version(started), endpoint.c_str());
    }
    // A run id of its own, so that nothing of an earlier run is met.
    const std::string run_id = "launcher-" + std::to_string(getpid()) + "-" + std::to_string(std::time(nullptr));
    // First of all, so that an etcd that cannot be reached is told once.
    const Connection etcd(endpoint, run_id, workers);
    std::printf("run %s over %s, %d workers\n\n", run_id.c_str(), rdzv_backend_name(etcd.backend.get()), workers);

    Workers processes;
    for (int index = 0; index < workers; index++) {
        processes.add(spawn({"launcher", "--worker", endpoint, run_id, std::to_string(workers)}));
    }
    processes.wait();

    std::printf("rank  pid       address                time to join\n");
    for (int rank = 0; rank < workers; rank++) {
        std::printf("%s\n", etcd.get("row/" + std::to_string(rank)).c_str());
    }
    std::printf("\nall %d have met and left\n", workers);
    return 0;
}

int number_of_workers(const char *text) {
    char *end = nullptr;
    const long number = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < 1 || number > kMostWorkers) {
        throw std::runtime_error("the number of workers is from 1 to " + std::to_string(kMostWorkers) + ", not '" +
                                 text + "'");
    }
    return static_cast<int>(number);
}

}  // namespace

int main(int argc, char **argv) {
    const bool is_worker = argc == 5 && std::string(argv[1]) == "--worker";
    try {
        if (is_worker) {
            return work(argv[2], argv[3], number_of_workers(argv[4]));
        }
        if (argc > 2) {
            throw std::runtime_error("usage: launcher [number of workers]");
        }
        const int result = launch(argc == 2 ? number_of_workers(argv[1]) : 4);
        const std::lock_guard<std::mutex> guard(server_mutex);
        server.reset();
        return result;
    } catch (const std::exception &error) {
        const std::lock_guard<std::mutex> guard(server_mutex);
        server.reset();
        std::fprintf(stderr, "%s: %s\n", is_worker ? "worker" : "launcher", error.what());
        return 1;
    }
}
