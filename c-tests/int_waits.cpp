// Waiting: what ends it, when, and what the message says then.
#include <functional>
#include <thread>

#include "link.hpp"

namespace {

// A deadline may be missed by this much. The machine may be busy: each case has some tries to be on
// time.
constexpr double kLate = 20;

// Runs `call` until it takes from `least` to `least` + kLate milliseconds.
void check_on_time(double least, const std::function<void()> &call) {
    double took = 0;
    for (int attempt = 0; attempt < 5; attempt++) {
        const Clock clock;
        call();
        took = clock.ms();
        CHECK(took >= least);
        if (took <= least + kLate) {
            return;
        }
    }
    std::fprintf(stderr, "took %.1f ms, not %.0f\n", took, least);
    CHECK(!"the call ends at its deadline");
}

void check_timeout_names(const std::vector<std::string> &missing,
                         const std::vector<std::string> &found) {
    const std::string message = rdzv_last_error_message();
    CHECK_CONTAINS(message.c_str(), "timeout after ");
    CHECK_CONTAINS(message.c_str(), " ms");
    CHECK_CONTAINS(message.c_str(), fixture_endpoint());
    for (const std::string &key : missing) {
        CHECK_CONTAINS(message.c_str(), ("'" + key + "'").c_str());
    }
    for (const std::string &key : found) {
        CHECK(message.find("'" + key + "'") == std::string::npos);
    }
}

void deadlines_are_kept(const rdzv_store *store) {
    for (const uint64_t timeout_ms : {1, 50, 200}) {
        check_on_time(static_cast<double>(timeout_ms), [&] {
            CHECK_STATUS(wait(store, {"absent"}, timeout_ms), RDZV_STATUS_TIMEOUT);
            check_timeout_names({"absent"}, {});
        });
        check_on_time(static_cast<double>(timeout_ms), [&] {
            Bytes value;
            List values;
            const char *keys[] = {"absent", "gone"};
            CHECK_OK(rdzv_store_set_timeout(store, timeout_ms));
            CHECK_STATUS(rdzv_store_multi_get(store, keys, 2, values.out()), RDZV_STATUS_TIMEOUT);
            check_timeout_names({"absent", "gone"}, {});
        });
    }
    CHECK_OK(rdzv_store_set_timeout(store, 100));
    check_on_time(100, [&] {
        Bytes value;
        CHECK_STATUS(rdzv_store_get(store, "absent", value.out()), RDZV_STATUS_TIMEOUT);
        check_timeout_names({"absent"}, {});
    });
    check_on_time(100, [&] {
        Bytes value;
        CHECK_STATUS(rdzv_store_queue_pop(store, "no queue", true, value.out()),
                     RDZV_STATUS_TIMEOUT);
        check_timeout_names({"no queue"}, {});
    });
    check_on_time(100, [&] {
        CHECK_STATUS(wait(store, {"absent"}, RDZV_STORE_TIMEOUT), RDZV_STATUS_TIMEOUT);
    });
    // A timeout of the call's own does not change the store's.
    uint64_t timeout_ms = 0;
    CHECK_OK(rdzv_store_timeout(store, &timeout_ms));
    CHECK_INT(timeout_ms, 100);
}

void only_missing_keys_are_named(const rdzv_store *store) {
    CHECK_OK(set(store, "here", "v"));
    CHECK_STATUS(wait(store, {"here", "not here", "here", "nor here", "not here"}, 30),
                 RDZV_STATUS_TIMEOUT);
    check_timeout_names({"not here", "nor here"}, {"here"});
    // One of those that are waited for comes in time.
    std::thread setter([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        CHECK_OK(set(store, "late", "v"));
    });
    CHECK_STATUS(wait(store, {"late", "later"}, 500), RDZV_STATUS_TIMEOUT);
    check_timeout_names({"later"}, {"late"});
    setter.join();
    // Many are counted instead.
    std::vector<std::string> many;
    for (int index = 0; index < 50; index++) {
        many.push_back("missing " + std::to_string(index));
    }
    CHECK_STATUS(wait(store, many, 0), RDZV_STATUS_TIMEOUT);
    CHECK_CONTAINS(rdzv_last_error_message(), "'missing 0'");
    CHECK_CONTAINS(rdzv_last_error_message(), " more");
    CHECK(std::string(rdzv_last_error_message()).size() < 500);
}

// Now or never: what is there is found, what is not is not waited for.
void a_timeout_of_zero_looks_once(const rdzv_store *store) {
    Bytes value;
    List values;
    const char *keys[] = {"here", "absent"};
    const std::string text = "v";
    CHECK_OK(set(store, "here", "v"));
    CHECK_OK(rdzv_store_set_timeout(store, 0));
    CHECK_OK(rdzv_store_get(store, "here", value.out()));
    CHECK_TEXT(value, "v");
    CHECK_OK(rdzv_store_multi_get(store, keys, 1, values.out()));
    CHECK_OK(wait(store, {"here"}, 0));
    CHECK_OK(wait(store, {"here"}, RDZV_STORE_TIMEOUT));
    const Clock clock;
    CHECK_STATUS(rdzv_store_get(store, "absent", value.out()), RDZV_STATUS_TIMEOUT);
    CHECK_STATUS(rdzv_store_multi_get(store, keys, 2, values.out()), RDZV_STATUS_TIMEOUT);
    check_timeout_names({"absent"}, {"here"});
    CHECK_STATUS(wait(store, {"absent"}, 0), RDZV_STATUS_TIMEOUT);
    CHECK_STATUS(wait(store, {"absent"}, RDZV_STORE_TIMEOUT), RDZV_STATUS_TIMEOUT);
    CHECK_STATUS(rdzv_store_queue_pop(store, "empty", true, value.out()), RDZV_STATUS_TIMEOUT);
    CHECK_STATUS(rdzv_store_queue_pop(store, "empty", false, value.out()), RDZV_STATUS_NOT_FOUND);
    CHECK_STATUS(rdzv_store_barrier(store, "zero", 2, 0), RDZV_STATUS_TIMEOUT);
    CHECK_OK(rdzv_store_barrier(store, "zero", 2, 0));
    CHECK(clock.ms() < 500);
    CHECK_OK(rdzv_store_queue_push(store, "queue", DATA(text)));
    CHECK_OK(rdzv_store_queue_pop(store, "queue", true, value.out()));
    // Calls that do not wait are not bound by it.
    int64_t sum = 0;
    CHECK_OK(rdzv_store_add(store, "sum", 1, &sum));
    CHECK_OK(rdzv_store_append(store, "here", DATA(text)));
    CHECK_OK(rdzv_store_set_timeout(store, 300000));
}

void what_is_waited_for_comes(const rdzv_store *store) {
    const struct {
        const char *what;
        std::function<void()> wait;
        std::function<void()> come;
    } cases[] = {
        {"wait and set",
         [&] {
             CHECK_OK(wait(store, {"come 1", "come 1"}, 20000));
         },
         [&] { CHECK_OK(set(store, "come 1", "v")); }},
        {"get and empty value",
         [&] {
             Bytes value;
             CHECK_OK(rdzv_store_get(store, "come 2", value.out()));
             CHECK_TEXT(value, "");
         },
         [&] { CHECK_OK(set(store, "come 2", "")); }},
        {"get and add",
         [&] {
             Bytes value;
             CHECK_OK(rdzv_store_get(store, "come?", value.out()));
             CHECK_TEXT(value, "3");
         },
         [&] {
             int64_t sum = 0;
             CHECK_OK(rdzv_store_add(store, "come?", 3, &sum));
         }},
        {"multi_get and two sets",
         [&] {
             const char *keys[] = {"come 3", "come 4"};
             List values;
             CHECK_OK(rdzv_store_multi_get(store, keys, 2, values.out()));
             CHECK(values.texts() == std::vector<std::string>({"3", "4"}));
         },
         [&] {
             CHECK_OK(set(store, "come 4", "4"));
             CHECK_OK(set(store, "come 3", "3"));
         }},
        {"get and compare_set",
         [&] {
             Bytes value;
             CHECK_OK(rdzv_store_get(store, "come 5", value.out()));
             CHECK_TEXT(value, "v");
         },
         [&] {
             Bytes value;
             const std::string text = "v";
             CHECK_OK(rdzv_store_compare_set(store, "come 5", nullptr, 0, DATA(text), value.out()));
         }},
        {"queue_pop and queue_push",
         [&] {
             Bytes value;
             CHECK_OK(rdzv_store_queue_pop(store, "come", true, value.out()));
             CHECK_TEXT(value, "v");
         },
         [&] {
             const std::string text = "v";
             CHECK_OK(rdzv_store_queue_push(store, "come", DATA(text)));
         }},
    };
    for (const auto &one : cases) {
        std::fprintf(stderr, "%s\n", one.what);
        std::thread waiter(one.wait);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        const Clock clock;
        one.come();
        waiter.join();
        CHECK(clock.ms() < 1000);
    }
}

// A key that comes and goes while others are waited for was there; a failed compare_set wakes
// nobody.
void what_does_not_count_does_not_wake(const rdzv_store *store) {
    const Clock clock;
    std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        Bytes value;
        const std::string text = "v";
        CHECK_OK(set(store, "neighbour", "v"));
        CHECK_OK(rdzv_store_compare_set(store, "never", DATA(text), DATA(text), value.out()));
        bool deleted = true;
        CHECK_OK(rdzv_store_delete_key(store, "never", &deleted));
        CHECK(!deleted);
    });
    CHECK_STATUS(wait(store, {"never"}, 200), RDZV_STATUS_TIMEOUT);
    CHECK(clock.ms() >= 200);
    other.join();
}

void barriers_let_all_or_none_through(const rdzv_store *store) {
    CHECK_OK(rdzv_store_barrier(store, "alone", 1, 0));
    std::vector<std::thread> threads;
    const Clock clock;
    for (int rank = 0; rank < 3; rank++) {
        threads.emplace_back([&] { CHECK_OK(rdzv_store_barrier(store, "four", 4, 20000)); });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    bool open = true;
    CHECK_OK(check(store, {"four/last_member"}, &open));
    CHECK(!open);
    CHECK_OK(rdzv_store_barrier(store, "four", 4, 20000));
    for (std::thread &thread : threads) {
        thread.join();
    }
    CHECK(clock.ms() < 2000);
    check_on_time(100, [&] {
        static int round = 0;
        const std::string key = "lonely " + std::to_string(round++);
        CHECK_STATUS(rdzv_store_barrier(store, key.c_str(), 2, 100), RDZV_STATUS_TIMEOUT);
        CHECK_CONTAINS(rdzv_last_error_message(), key.c_str());
    });
    CHECK_STATUS(rdzv_store_barrier(store, "none", 0, 0), RDZV_STATUS_INVALID_ARGUMENT);
}

void clones_wait_on_their_own(const rdzv_store *store) {
    rdzv_store *clone = nullptr;
    uint64_t timeout_ms = 0;
    CHECK_OK(rdzv_store_set_timeout(store, 1000));
    CHECK_OK(rdzv_store_clone(store, &clone));
    CHECK_OK(rdzv_store_timeout(clone, &timeout_ms));
    CHECK_INT(timeout_ms, 1000);
    CHECK_OK(rdzv_store_set_timeout(clone, 5));
    CHECK_OK(rdzv_store_timeout(store, &timeout_ms));
    CHECK_INT(timeout_ms, 1000);
    rdzv_store_cancel(clone);
    CHECK_STATUS(wait(clone, {"absent"}, 0), RDZV_STATUS_CANCELLED);
    CHECK_STATUS(wait(store, {"absent"}, 0), RDZV_STATUS_TIMEOUT);
    rdzv_free_store(clone);
    CHECK_OK(set(store, "after", "v"));
    CHECK_OK(rdzv_store_set_timeout(store, 300000));
}

}  // namespace

int main() {
    fixture_start();
    {
        Link link;
        deadlines_are_kept(link.store);
        only_missing_keys_are_named(link.store);
        a_timeout_of_zero_looks_once(link.store);
        what_is_waited_for_comes(link.store);
        what_does_not_count_does_not_wake(link.store);
        barriers_let_all_or_none_through(link.store);
        clones_wait_on_their_own(link.store);
    }
    fixture_stop();
    return 0;
}
