// A training launcher in small. N worker processes, which know nothing of each other but a run id
// and where etcd is, take ranks by the rendezvous handler, tell each other their addresses through
// the store that comes with them, count themselves, meet at a barrier, and leave.
//
//   launcher [N]      N workers, 4 if not given
//
// Starts an etcd of its own unless RDZV_ENDPOINT names one. Exits with 0, or with 1 and the reason. Each worker is this program again, as `launcher --worker
// …`: a process of its own, as it would be on another machine.
#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>
#include <rdzv.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr std::chrono::seconds kTimeout(60);
constexpr int kMostWorkers = 1000;

// --- A worker ---

rdzv::Params params_of(const std::string &endpoint, const std::string &run_id, int workers) {
    rdzv::Params params("etcd", endpoint, run_id, workers, workers);
    // All are on this host, and nothing of a run is left in etcd for long.
    params.set_config(
        "local_addr=localhost,join_timeout=60,store_timeout=60,ttl=600,store_ttl=600");
    return params;
}

// An address that the others could connect to: a listening socket that stays open as long as this
// process.
std::string listen_somewhere() {
    sockaddr_in address{};
    socklen_t len = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, reinterpret_cast<sockaddr *>(&address), len) != 0 ||
        listen(listener, 16) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr *>(&address), &len) != 0) {
        throw std::runtime_error("no port to listen on");
    }
    return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

int work(const std::string &endpoint, const std::string &run_id, int workers) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    const std::string address = listen_somewhere();
    const rdzv::Handler handler(params_of(endpoint, run_id, workers));
    const auto [rank, world_size, round, store] = handler.next_rendezvous();

    // The addresses: everyone tells its own and reads all the others', waiting for those that are
    // not there yet.
    store.set("address/" + std::to_string(rank), address);
    for (uint64_t other = 0; other < world_size; other++) {
        store.get("address/" + std::to_string(other));
    }
    const double joined_ms =
        std::chrono::duration<double, std::milli>(Clock::now() - start).count();

    store.add("count", 1);
    char row[128];
    std::snprintf(row, sizeof row, "%-4d  %-8d  %-21s  %7.1f ms", static_cast<int>(rank),
                  static_cast<int>(getpid()), address.c_str(), joined_ms);
    store.set("row/" + std::to_string(rank), row);
    store.barrier("end", world_size, kTimeout);
    // Behind the barrier all have counted.
    const int64_t count = store.add("count", 0);
    if (count != workers) {
        throw std::runtime_error("counted " + std::to_string(count) + " workers, not " +
                                 std::to_string(workers));
    }
    return 0;
}

// --- The launcher ---

// The server that the launcher has started. Whoever holds the mutex may stop it or let go of it.
std::mutex server_mutex;
std::optional<rdzv::Server> server;

sigset_t interrupts() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

// Ctrl-C ends the program at once, whatever it is waiting for: a thread of its own waits for
// nothing else. The workers end with the launcher.
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

    void add(pid_t pid) {
        running_.emplace(pid, running_.size());
    }

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
                throw std::runtime_error("worker " + std::to_string(index) +
                                         " was ended by signal " +
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
        rdzv::Server started;
        endpoint = started.endpoint();
        const std::lock_guard<std::mutex> guard(server_mutex);
        server = std::move(started);
        std::printf("started etcd %s at %s\n", server->version().c_str(), endpoint.c_str());
    }
    // A run id of its own, so that nothing of an earlier run is met.
    const std::string run_id =
        "launcher-" + std::to_string(getpid()) + "-" + std::to_string(std::time(nullptr));
    // First of all, so that an etcd that cannot be reached is told once.
    const auto [backend, store] = rdzv::create_backend(params_of(endpoint, run_id, workers));
    std::printf("run %s over %s, %d workers\n\n", run_id.c_str(), backend.name().c_str(), workers);

    Workers processes;
    for (int index = 0; index < workers; index++) {
        processes.add(spawn({"launcher", "--worker", endpoint, run_id, std::to_string(workers)}));
    }
    processes.wait();

    // What they have told each other, in the store of the run's first round.
    const rdzv::Store told = store.with_prefix("torch.rendezvous." + run_id + ".0");
    std::printf("rank  pid       address                time to join\n");
    for (int rank = 0; rank < workers; rank++) {
        const rdzv::Bytes row = told.get("row/" + std::to_string(rank));
        std::printf("%.*s\n", static_cast<int>(row.size()),
                    reinterpret_cast<const char *>(row.data()));
    }
    std::printf("\nall %d have met and left\n", workers);
    return 0;
}

int number_of_workers(const char *text) {
    char *end = nullptr;
    const long number = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < 1 || number > kMostWorkers) {
        throw std::runtime_error("the number of workers is from 1 to " +
                                 std::to_string(kMostWorkers) + ", not '" + text + "'");
    }
    return static_cast<int>(number);
}

}  // namespace

int main(int argc, char **argv) {
    const auto fail = [](const char *who, const std::string &why) {
        const std::lock_guard<std::mutex> guard(server_mutex);
        server.reset();
        std::fprintf(stderr, "%s: %s\n", who, why.c_str());
        return 1;
    };
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
    } catch (const rdzv::Error &error) {
        return fail(is_worker ? "worker" : "launcher",
                    rdzv::status_name(error.status()) + ": " + error.what());
    } catch (const std::exception &error) {
        return fail(is_worker ? "worker" : "launcher", error.what());
    }
}
