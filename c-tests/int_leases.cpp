// What outlives whom: the state its writer, but not its time to live; store keys everything, or
// `store_ttl`.
#include <sys/wait.h>
#include <unistd.h>

#include "link.hpp"
#include "wire.hpp"

namespace {

const char kJson[] = "application/json";

// A backend and a store whose keys live for 3 s.
struct Brief : Link {
    Brief() : Link(params().get()) {}

  private:
    struct Params {
        rdzv_params *raw;
        ~Params() {
            rdzv_free_params(raw);
        }
        const rdzv_params *get() const {
            return raw;
        }
    };
    static Params params() {
        rdzv_params *raw = fixture_params("brief");
        CHECK_OK(rdzv_params_set_config(raw, "ttl=3,store_ttl=3"));
        return Params{raw};
    }
};

uint64_t write_state(const Link &link, uint64_t token) {
    Bytes now;
    bool has_set = false;
    CHECK_OK(rdzv_set_state(link.backend, nullptr, 0, token, now.out(), &token, &has_set));
    CHECK(has_set);
    return token;
}

bool has_state(const Link &link) {
    Bytes state;
    uint64_t token = 0;
    const rdzv_status status = rdzv_get_state(link.backend, state.out(), &token);
    CHECK(status == RDZV_STATUS_OK || status == RDZV_STATUS_NOT_FOUND);
    return status == RDZV_STATUS_OK;
}

// Seconds until `is_there` is false; etcd sweeps twice a second, and a v3 lease may live a second
// longer.
template <typename Look>
double lifetime(const Clock &since, Look is_there) {
    while (is_there()) {
        CHECK(since.ms() < 20000);
        usleep(50000);
    }
    return since.ms() / 1000;
}

void a_state_lives_from_its_last_write() {
    Brief link;
    uint64_t token = write_state(link, 0);
    Clock clock;
    for (int round = 0; round < 4; round++) {
        usleep(1000000);
        token = write_state(link, token);
    }
    // By now it would have expired three times over.
    CHECK(clock.ms() > 4000);
    const double lived = lifetime(Clock(), [&] { return has_state(link); });
    printf("the state expired %.2f s after its last write, ttl=3\n", lived);
    CHECK(lived > 2.9 && lived < 6);
    CHECK(write_state(link, 0) != 0);
}

void store_keys_live_as_long_as_they_are_told() {
    Brief link;
    Link other("brief");
    CHECK_OK(set(link.store, "brief", "v"));
    CHECK_OK(set(other.store, "lasting", "v"));
    int64_t sum = 0;
    CHECK_OK(rdzv_store_add(link.store, "count", 1, &sum));
    const double lived = lifetime(Clock(), [&] {
        bool present = false;
        CHECK_OK(check(link.store, {"brief"}, &present));
        return present;
    });
    CHECK(lived > 2.9 && lived < 6);
    bool present = false;
    CHECK_OK(check(other.store, {"lasting"}, &present));
    CHECK(present);
    // What the library remembers of a counter is of no use any more, and does no harm.
    usleep(2500000);
    CHECK_OK(rdzv_store_add(link.store, "count", 1, &sum));
    CHECK_INT(sum, 1);
}

void a_state_outlives_its_writer() {
    const pid_t writer = fork();
    CHECK(writer >= 0);
    if (writer == 0) {
        {
            Link link("outlives");
            write_state(link, 0);
        }
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(writer, &status, 0) == writer && status == 0);
    Link link("outlives");
    CHECK(has_state(link));
}

int count(const std::string &text, const std::string &part) {
    int found = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        found++;
    }
    return found;
}

int leases() {
    const wire::Reply reply =
        wire::send(fixture_endpoint(), "POST", "/v3/lease/leases", "{}", kJson);
    CHECK_INT(reply.status, 200);
    return count(reply.body, "\"ID\"");
}

void many_writes_leave_one_lease() {
    CHECK_INT(leases(), 0);
    Link link("many"), second("many");
    uint64_t token = 0;
    for (int round = 0; round < 10000; round++) {
        token = write_state(round % 2 == 0 ? link : second, token);
    }
    int64_t sum = 0;
    CHECK_OK(rdzv_store_add(link.store, "n", 1, &sum));
    const int now = leases();
    printf("10000 writes by two clients, %d lease(s)\n", now);
    CHECK_INT(now, link.is_v2() ? 0 : 1);
}

}  // namespace

int main() {
    fixture_start();
    many_writes_leave_one_lease();
    a_state_outlives_its_writer();
    a_state_lives_from_its_last_write();
    store_keys_live_as_long_as_they_are_told();
    fixture_stop();
    return 0;
}
