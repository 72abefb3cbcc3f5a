// What a node is woken with is what it goes by: it asks etcd nothing more before it returns.
#include <optional>
#include <rdzv.hpp>

#include "etcd_fixture.h"
#include "log_proxy.hpp"

using namespace std::chrono_literals;

namespace {

rdzv::Params params_of(const std::string &endpoint) {
    rdzv::Params params("etcd", endpoint, "wake", 2, 2);
    // No heartbeat comes in between.
    params.set("api", fixture_api())
        .set_config("local_addr=localhost,join_timeout=60,keep_alive_interval=60");
    return params;
}

bool watches(const std::vector<LogProxy::Request> &requests) {
    for (const LogProxy::Request &request : requests) {
        if (request.line.find("?wait=true") != std::string::npos ||
            request.line.find("/v3/watch") != std::string::npos) {
            return true;
        }
    }
    return false;
}

// Both nodes are in round `round` once `first`, which waits by way of the proxy, has been woken by
// `second`, whose requests the proxy does not see.
void one_wakes_the_other(const rdzv::Handler &first, const rdzv::Handler &second, LogProxy &proxy) {
    proxy.take();
    std::optional<rdzv::Rendezvous> place;
    std::thread waiting([&] { place.emplace(first.next_rendezvous()); });
    while (!watches(proxy.take())) {
        std::this_thread::sleep_for(10ms);
    }
    // On v3 the key is read once more behind the watch.
    std::this_thread::sleep_for(500ms);
    proxy.take();

    const rdzv::Rendezvous other = second.next_rendezvous();
    waiting.join();
    CHECK(place->world_size == 2 && place->rank == 0 && other.rank == 1);
    CHECK_INT(place->round, 0);
    for (const LogProxy::Request &request : proxy.take()) {
        std::fprintf(stderr, "    made %s\n", request.line.c_str());
        CHECK(false);
    }
}

}  // namespace

int main() {
    fixture_start();
    {
        LogProxy proxy(fixture_endpoint());
        const rdzv::Handler first(params_of(proxy.endpoint()));
        const rdzv::Handler second(params_of(fixture_endpoint()));
        one_wakes_the_other(first, second, proxy);
    }
    fixture_stop();
    return 0;
}
