// examples/launcher as a user runs it; the program is the test's argument.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <set>

#include "link.hpp"
#include "raw_http.h"

namespace {

const char *launcher = nullptr;

// A launcher under way: its output, standard error included.
struct Run {
    pid_t pid;
    int output;
    std::string text;
};

// An endpoint of "" leaves the launcher to start an etcd of its own.
Run start(const std::string &endpoint, const char *workers) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        setenv("RDZV_ENDPOINT", endpoint.c_str(), 1);
        execl(launcher, "launcher", workers, static_cast<char *>(nullptr));
        _exit(127);
    }
    close(ends[1]);
    return {pid, ends[0], ""};
}

// Reads the output until it holds `part`, or ends.
void read_until(Run &run, const char *part) {
    char some[4096];
    while (part == nullptr || run.text.find(part) == std::string::npos) {
        const ssize_t len = read(run.output, some, sizeof some);
        CHECK(len >= 0);
        if (len == 0) {
            CHECK(part == nullptr);
            return;
        }
        run.text.append(some, static_cast<size_t>(len));
    }
}

// Its exit status, and all of its output. That ends only when its workers have ended, too.
int finish(Run &run) {
    read_until(run, nullptr);
    close(run.output);
    int status = 0;
    CHECK(waitpid(run.pid, &status, 0) == run.pid);
    if (!WIFEXITED(status)) {
        std::fprintf(stderr, "%s\n", run.text.c_str());
    }
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void check_table(const std::string &text, int workers) {
    size_t at = text.find("rank  pid       address                time to join\n");
    if (at == std::string::npos) {
        std::fprintf(stderr, "%s\n", text.c_str());
    }
    CHECK(at != std::string::npos);
    std::set<int> pids;
    std::set<std::string> addresses;
    for (int rank = 0; rank < workers; rank++) {
        int shown = -1, pid = 0;
        char address[64];
        double ms = -1;
        at = text.find('\n', at) + 1;
        CHECK_INT(std::sscanf(text.c_str() + at, "%d %d %63s %lf ms", &shown, &pid, address, &ms),
                  4);
        CHECK_INT(shown, rank);
        CHECK(ms > 0);
        pids.insert(pid);
        addresses.insert(address);
    }
    CHECK_INT(pids.size(), workers);
    CHECK_INT(addresses.size(), workers);
    CHECK_CONTAINS(text.c_str(), ("all " + std::to_string(workers) + " have met and left").c_str());
}

void runs_with_an_etcd_of_its_own() {
    Run run = start("", nullptr);
    const int status = finish(run);
    check_table(run.text, 4);
    CHECK_INT(status, 0);
}

void runs_with_a_given_etcd() {
    fixture_start();
    for (const int workers : {1, 2, 12}) {
        Run run = start(fixture_endpoint(), std::to_string(workers).c_str());
        const int status = finish(run);
        check_table(run.text, workers);
        CHECK_INT(status, 0);
        CHECK_CONTAINS(run.text.c_str(), fixture_endpoint());
        if (std::string(fixture_api()) != "auto") {
            CHECK_CONTAINS(run.text.c_str(), (std::string("over etcd-") + fixture_api()).c_str());
        }
    }
    fixture_stop();
}

void failures_are_readable() {
    Run unreachable = start("127.0.0.1:1", "2");
    CHECK_INT(finish(unreachable), 1);
    CHECK_CONTAINS(unreachable.text.c_str(),
                   "launcher: CONNECTION: The connection to etcd has failed.");
    CHECK_CONTAINS(unreachable.text.c_str(), "127.0.0.1:1: Connection refused");
    for (const char *workers : {"0", "x", "1001"}) {
        Run run = start("", workers);
        CHECK_INT(finish(run), 1);
        CHECK_CONTAINS(run.text.c_str(), "the number of workers is from 1 to 1000");
    }
}

// Ctrl-C while it waits for an etcd that never answers, and while its workers are at work.
void an_interrupt_ends_it_promptly() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {};
    socklen_t len = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, reinterpret_cast<struct sockaddr *>(&address), len) == 0 &&
          listen(listener, 8) == 0);
    CHECK(getsockname(listener, reinterpret_cast<struct sockaddr *>(&address), &len) == 0);
    Run waiting = start("127.0.0.1:" + std::to_string(ntohs(address.sin_port)), "2");
    read_until(waiting, "using the etcd");
    Clock waited;
    CHECK(kill(waiting.pid, SIGINT) == 0);
    CHECK_INT(finish(waiting), 1);
    CHECK(waited.ms() < 1000);
    CHECK_CONTAINS(waiting.text.c_str(), "interrupted");
    close(listener);

    Run working = start("", "40");
    read_until(working, "started etcd");
    read_until(working, "workers");
    Clock worked;
    CHECK(kill(working.pid, SIGTERM) == 0);
    CHECK_INT(finish(working), 1);
    CHECK(worked.ms() < 4000);  // etcd is given 2 s to end
    CHECK_CONTAINS(working.text.c_str(), "interrupted");
    // Its etcd is gone with it.
    const size_t at = working.text.find("localhost:");
    CHECK(at != std::string::npos);
    const int port = std::atoi(working.text.c_str() + at + 10);
    address.sin_port = htons(static_cast<uint16_t>(port));
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(client, reinterpret_cast<struct sockaddr *>(&address), sizeof address) != 0);
    close(client);
}

}  // namespace

int main(int argc, char **argv) {
    CHECK_INT(argc, 2);
    launcher = argv[1];
    runs_with_an_etcd_of_its_own();
    runs_with_a_given_etcd();
    failures_are_readable();
    an_interrupt_ends_it_promptly();
    return 0;
}
