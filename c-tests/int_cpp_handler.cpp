// rdzv::Handler: two nodes of one process join, hear of it, leave, close and are cancelled.
#include <optional>
#include <rdzv.hpp>
#include <thread>
#include <type_traits>

#include "etcd_fixture.h"

using namespace std::chrono_literals;

namespace {

static_assert(std::is_nothrow_move_constructible_v<rdzv::Handler> &&
              std::is_nothrow_move_assignable_v<rdzv::Handler>);
static_assert(!std::is_copy_constructible_v<rdzv::Handler> &&
              !std::is_copy_assignable_v<rdzv::Handler>);

// The status of the error that the call throws; OK where it throws none.
template <typename Call>
rdzv::Status status_of(Call call) {
    try {
        call();
        return RDZV_STATUS_OK;
    } catch (const rdzv::Error &error) {
        return error.status();
    }
}

rdzv::Params params_of(std::string_view run_id, std::int64_t nodes) {
    rdzv::Params params("etcd", fixture_endpoint(), run_id, nodes, nodes);
    params.set("api", fixture_api()).set_config("local_addr=localhost,join_timeout=30");
    return params;
}

// Both nodes join, each on a thread of its own.
std::pair<rdzv::Rendezvous, rdzv::Rendezvous> join(const rdzv::Handler &one,
                                                   const rdzv::Handler &other) {
    std::optional<rdzv::Rendezvous> first;
    std::thread thread([&] { first.emplace(one.next_rendezvous()); });
    rdzv::Rendezvous second = other.next_rendezvous();
    thread.join();
    return {std::move(*first), std::move(second)};
}

struct Heard {
    std::mutex mutex;
    std::vector<std::pair<std::int32_t, std::string>> events;

    rdzv::EventCallback callback() {
        return [this](std::int32_t kind, std::string_view json) {
            const std::lock_guard<std::mutex> lock(mutex);
            events.emplace_back(kind, json);
            throw 0;
        };
    }

    bool has(std::int32_t kind) {
        const std::lock_guard<std::mutex> lock(mutex);
        for (const auto &event : events) {
            if (event.first == kind && event.second.front() == '{') {
                return true;
            }
        }
        return false;
    }
};

void two_nodes() {
    Heard heard, replaced;
    rdzv::Handler one(params_of("two", 2));
    const rdzv::Handler other(params_of("two", 2));
    one.set_event_callback(replaced.callback());
    one.set_event_callback(heard.callback());
    CHECK(one.run_id() == "two" && !one.is_closed() && one.num_nodes_waiting() == 0);
    for (std::uint64_t round = 0; round < 2; round++) {
        auto [first, second] = join(one, other);
        CHECK_INT(first.round, round);
        CHECK_INT(second.round, round);
        CHECK_INT(first.world_size, 2);
        CHECK_INT(second.world_size, 2);
        CHECK_INT(first.rank + second.rank, 1);
        // Each round has a store of its own.
        CHECK(!second.store.check({"round"}));
        first.store.set("round", std::to_string(round));
        const rdzv::Bytes seen = second.store.get("round");
        CHECK_STR(std::string(seen.begin(), seen.end()).c_str(), std::to_string(round).c_str());
    }
    CHECK(heard.has(RDZV_EVENT_JOINED) && heard.has(RDZV_EVENT_COMPLETE));
    CHECK(replaced.events.empty());
    CHECK_CONTAINS(one.status_json().c_str(), "\"phase\":\"joined\"");
    CHECK_CONTAINS(one.status_json().c_str(), "\"round\":1");

    rdzv::Handler moved(params_of("elsewhere", 1));
    Heard elsewhere;
    moved.set_event_callback(elsewhere.callback());
    CHECK_INT(moved.next_rendezvous().rank, 0);
    moved = std::move(one);
    CHECK(status_of([&] { (void)one.is_closed(); }) == RDZV_STATUS_NULL_ARGUMENT);
    CHECK(one.run_id().empty());
    one.cancel();
    CHECK(moved.run_id() == "two");
    moved.set_event_callback(nullptr);
    CHECK(moved.shutdown());
    CHECK(status_of([&] { (void)other.next_rendezvous(); }) == RDZV_STATUS_CLOSED);
}

void closing() {
    const rdzv::Handler handler(params_of("closing", 1));
    const rdzv::Handler late(params_of("closing", 1));
    handler.set_closed();
    CHECK(handler.is_closed());
    CHECK(status_of([&] { (void)late.next_rendezvous(); }) == RDZV_STATUS_CLOSED);
}

void cancelling() {
    const rdzv::Handler handler(params_of("cancelling", 2));
    std::thread canceller([&] {
        std::this_thread::sleep_for(100ms);
        handler.cancel();
    });
    CHECK(status_of([&] { (void)handler.next_rendezvous(); }) == RDZV_STATUS_CANCELLED);
    canceller.join();
    CHECK(status_of([] { rdzv::Handler(params_of("none", 0)); }) == RDZV_STATUS_INVALID_ARGUMENT);
}

}  // namespace

int main() {
    fixture_start();
    two_nodes();
    closing();
    cancelling();
    fixture_stop();
}
