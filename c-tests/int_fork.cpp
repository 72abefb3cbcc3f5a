// Handles after fork(): the child has connections of its own, and the parent's go on as if nothing
// had happened.
#include <fcntl.h>
#include <sys/wait.h>

#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "link.hpp"
#include "log_proxy.hpp"

namespace {

// Runs `body` in a child, which must end well within 20 s, and returns how long that took, in
// milliseconds.
double in_child(const std::function<void()> &body) {
    const Clock clock;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(20);
        body();
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return clock.ms();
}

void use_everything(const Link &link, const std::string &name) {
    Bytes value;
    uint64_t token = 0;
    bool has_set = false;
    int64_t sum = 0;
    CHECK_STATUS(wait(link.store, {"absent"}, 50), RDZV_STATUS_TIMEOUT);
    CHECK_OK(rdzv_get_state(link.backend, value.out(), &token));
    CHECK_OK(rdzv_set_state(link.backend, DATA(name), token, value.out(), &token, &has_set));
    CHECK(has_set);
    CHECK_OK(set(link.store, name, name));
    CHECK_OK(rdzv_store_get(link.store, name.c_str(), value.out()));
    CHECK_TEXT(value, name);
    CHECK_OK(rdzv_store_add(link.store, "forked", 1, &sum));
}

std::set<int> connections_of(const std::vector<LogProxy::Request> &requests) {
    std::set<int> connections;
    for (const LogProxy::Request &request : requests) {
        connections.insert(request.connection);
    }
    return connections;
}

void connections_are_not_shared(const Link &link, LogProxy &proxy) {
    use_everything(link, "parent before");
    const std::set<int> parents = connections_of(proxy.take());
    CHECK(!parents.empty());
    in_child([&] { use_everything(link, "child"); });
    const std::set<int> childs = connections_of(proxy.take());
    CHECK(!childs.empty());
    for (const int connection : childs) {
        CHECK(parents.count(connection) == 0);
    }
    // The parent's is as good as before, so that it opens no other.
    CHECK_OK(set(link.store, "parent after", "v"));
    const std::set<int> after = connections_of(proxy.take());
    CHECK(after.size() == 1 && parents.count(*after.begin()) == 1);
    use_everything(link, "parent after");
    int64_t sum = 0;
    CHECK_OK(rdzv_store_add(link.store, "forked", 0, &sum));
    CHECK_INT(sum, 3);
}

// A child that frees, cancels, and exits takes nothing from the parent, not even from a thread that
// waits.
void a_child_disturbs_no_wait(const Link &link) {
    std::atomic<bool> woken{false};
    std::thread waiter([&] {
        Bytes value;
        CHECK_OK(rdzv_store_get(link.store, "for the waiter", value.out()));
        CHECK_TEXT(value, "v");
        woken = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    in_child([&] {
        use_everything(link, "child beside a waiter");
        rdzv_store_cancel(link.store);
        rdzv_backend_cancel(link.backend);
        CHECK_STATUS(set(link.store, "k", "v"), RDZV_STATUS_CANCELLED);
        rdzv_free_backend(link.backend);
        rdzv_free_store(link.store);
    });
    in_child([&] {
        rdzv_free_store(link.store);  // without having used it
        rdzv_free_backend(link.backend);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    CHECK(!woken);
    CHECK_OK(set(link.store, "for the waiter", "v"));
    waiter.join();
    use_everything(link, "parent after the waiter");
}

// Also while other threads are in the middle of requests.
void fifty_forks_are_quick(const Link &link) {
    std::atomic<bool> over{false};
    std::thread busy([&] {
        while (!over) {
            CHECK_OK(set(link.store, "busy", "v"));
        }
    });
    double all = 0;
    for (int round = 0; round < 50; round++) {
        all += in_child([&] {
            int64_t sum = 0;
            CHECK_OK(rdzv_store_add(link.store, "fifty", 1, &sum));
            CHECK_INT(sum, round + 1);
        });
    }
    over = true;
    busy.join();
    CHECK(all < 50 * 100);
    int64_t sum = 0;
    CHECK_OK(rdzv_store_add(link.store, "fifty", 0, &sum));
    CHECK_INT(sum, 50);
}

// Children of children, all at once, count exactly.
void generations_count_exactly(const Link &link) {
    for (int round = 0; round < 4; round++) {
        std::vector<pid_t> children;
        for (int index = 0; index < 4; index++) {
            const pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                alarm(20);
                int64_t sum = 0;
                CHECK_OK(rdzv_store_add(link.store, "generations", 1, &sum));
                in_child([&] { CHECK_OK(rdzv_store_add(link.store, "generations", 1, &sum)); });
                CHECK_OK(rdzv_store_add(link.store, "generations", 1, &sum));
                _exit(0);
            }
            children.push_back(child);
        }
        for (const pid_t child : children) {
            int status = 0;
            CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) &&
                  WEXITSTATUS(status) == 0);
        }
    }
    int64_t sum = 0;
    CHECK_OK(rdzv_store_add(link.store, "generations", 0, &sum));
    CHECK_INT(sum, 4 * 4 * 3);
}

// The server stays the parent's: a child that ends, or frees it, does not stop it.
void a_child_does_not_stop_the_server(const Link &link) {
    in_child([] { rdzv_free_server(fixture_server); });
    in_child([] { exit(0); });
    CHECK_OK(set(link.store, "still", "there"));
}

// None of the library's descriptors is open in a program that a child runs.
void no_descriptor_survives_exec(const Link &link) {
    CHECK_OK(set(link.store, "k", "v"));
    in_child([] {
        for (int fd = 3; fd < 1024; fd++) {
            const int flags = fcntl(fd, F_GETFD);
            CHECK(flags < 0 || (flags & FD_CLOEXEC) != 0);
        }
    });
}

}  // namespace

int main() {
    // What the test was started with does not count.
    for (int fd = 3; fd < 1024; fd++) {
        const int flags = fcntl(fd, F_GETFD);
        if (flags >= 0) {
            CHECK(fcntl(fd, F_SETFD, flags | FD_CLOEXEC) == 0);
        }
    }
    fixture_start();
    {
        LogProxy proxy(fixture_endpoint());
        rdzv_params *params = nullptr;
        CHECK_OK(rdzv_create_params("etcd", proxy.endpoint().c_str(), "forks", 1, 1, &params));
        CHECK_OK(rdzv_params_set(params, "api", fixture_api()));
        Link seen(params);
        rdzv_free_params(params);
        Bytes state;
        uint64_t token = 0;
        bool has_set = false;
        CHECK_OK(rdzv_set_state(seen.backend, nullptr, 0, 0, state.out(), &token, &has_set));
        connections_are_not_shared(seen, proxy);
    }
    {
        Link link("forks");
        a_child_disturbs_no_wait(link);
        fifty_forks_are_quick(link);
        generations_count_exactly(link);
        a_child_does_not_stop_the_server(link);
        no_descriptor_survives_exec(link);
    }
    fixture_stop();
    return 0;
}
