// The last error belongs to its thread, and its address stays good while the thread lives.
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace {

void fail_often(int index) {
    CHECK_STR(rdzv_last_error_message(), "");
    const char* address = rdzv_last_error_message();
    const std::string expected =
        index % 2 == 0
            ? "the argument 'store' of rdzv_store_timeout must not be NULL"
            : "the argument 'level' of rdzv_set_log_callback is not one of the log levels";
    for (int round = 0; round < 1000; round++) {
        uint64_t timeout_ms = 0;
        if (index % 2 == 0) {
            CHECK_STATUS(rdzv_store_timeout(nullptr, &timeout_ms), RDZV_STATUS_NULL_ARGUMENT);
        } else {
            CHECK_STATUS(rdzv_set_log_callback(1000 + index, nullptr, nullptr),
                         RDZV_STATUS_INVALID_ARGUMENT);
        }
        CHECK_STR(rdzv_last_error_message(), expected.c_str());
        CHECK(rdzv_last_error_message() == address);
    }
}

// Arguments of printf are evaluated in any order: the message may be fetched before the call that
// fails.
void fetch_before_failing() {
    char line[256];
    std::snprintf(line, sizeof line, "%d %s",
                  static_cast<int>(rdzv_store_timeout(nullptr, nullptr)),
                  rdzv_last_error_message());
    CHECK_CONTAINS(line, "1 ");
    CHECK_CONTAINS(line, "'store'");
}

}  // namespace

int main() {
    std::vector<std::thread> threads;
    for (int index = 0; index < 8; index++) {
        threads.emplace_back(fail_often, index);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK_STR(rdzv_last_error_message(), "");
    fetch_before_failing();
    return 0;
}
