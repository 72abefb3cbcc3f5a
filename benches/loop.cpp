/*
 * Does one operation COUNT times, for callgrind, strace and perf, and prints the microseconds of
 * processor time that one took in this program and in the kernel.
 *
 *   rdzv_loop ENDPOINT v2|v3 OPERATION COUNT
 *
 * The operations: get, set, get_state, set_state, add, compare_set, floor (a raw get).
 */
#include <sys/resource.h>

#include <cstring>

#include "floor.hpp"
#include "requests.hpp"
#include "subject.hpp"

namespace {

double micros(const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) {
        std::fprintf(stderr, "usage: rdzv_loop ENDPOINT v2|v3 OPERATION COUNT\n");
        return 2;
    }
    const bool v2 = std::strcmp(argv[2], "v2") == 0;
    const std::string operation = argv[3], value(64, 'v');
    const size_t count = std::stoul(argv[4]);
    const Client client(argv[1], v2, "loop");
    client.set("loop/key", value);
    uint64_t token = 0;
    if (operation.find("state") != std::string::npos) {
        rdzv_bytes state = {};
        if (rdzv_get_state(client.backend(), &state, &token) != RDZV_STATUS_OK) {
            token = client.set_state(value, 0);
        }
        rdzv_bytes_free(&state);
    }
    Wire wire(argv[1]);
    const Requests requests(v2, argv[1]);
    const std::string floor = requests.get(requests.store("loop/key"));
    rusage before = {}, after = {};
    getrusage(RUSAGE_SELF, &before);
    for (size_t i = 0; i < count; ++i) {
        if (operation == "get") client.get("loop/key");
        if (operation == "set") client.set("loop/key", value);
        if (operation == "add") client.add("loop/sum", 1);
        if (operation == "get_state") client.get_state();
        if (operation == "set_state") token = client.set_state(value, token);
        if (operation == "compare_set") client.compare_set("loop/key", value, value);
        if (operation == "floor") wire.ask(floor);
    }
    getrusage(RUSAGE_SELF, &after);
    const auto times = static_cast<double>(count);
    std::printf("user_us %.2f system_us %.2f\n",
                (micros(after.ru_utime) - micros(before.ru_utime)) / times,
                (micros(after.ru_stime) - micros(before.ru_stime)) / times);
    return 0;
}
