// rdzv::C10dStore as libtorch uses it: through c10d::Store and PrefixStore, from several threads,
// with its exceptions.
#include <atomic>
#include <rdzv/c10d_store.hpp>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#undef CHECK  // glog, which libtorch includes, has one of that name
#include "check.h"

using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

using Bytes = std::vector<std::uint8_t>;

#if TORCH_VERSION_MAJOR == 1 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR < 2)
using Timeout = c10d::TimeoutError;
using Network = std::runtime_error;
#else
using Timeout = c10::DistStoreError;
using Network = c10::DistNetworkError;
#endif

Bytes bytes(std::string_view text) {
    return Bytes(text.begin(), text.end());
}

// What the call throws; the test fails where that is not an `Expected`.
template <typename Expected, typename Call>
std::string thrown(Call call) {
    try {
        call();
    } catch (const Expected& error) {
        return error.what();
    }
    CHECK(!"the call throws");
    return "";
}

std::atomic<int> requests = 0;
std::atomic<int> writes = 0;

// Counts the requests that go to etcd. One that is read-only is a GET of v2, or a range of v3.
void count(std::int32_t level, std::string_view line) {
    if (level == RDZV_LOG_TRACE) {
        ++requests;
        const bool reads =
            line.rfind("GET ", 0) == 0 || line.find("/kv/range") != std::string_view::npos;
        writes += reads ? 0 : 1;
    }
}

template <typename Call>
int requests_of(Call call) {
    const int before = requests;
    call();
    return requests - before;
}

void one_key(c10d::Store& store) {
    const Bytes binary = {0, 255, 10, 0, '='};
    store.set("key", binary);
    CHECK(store.get("key") == binary);
    store.set("key", Bytes());
    CHECK(store.get("key").empty());
    CHECK(store.compareSet("key", Bytes(), bytes("a")) == bytes("a"));
    CHECK(store.compareSet("key", bytes("b"), bytes("c")) == bytes("a"));
    CHECK(store.compareSet("new", Bytes(), bytes("first")) == bytes("first"));
    CHECK(store.compareSet("absent", bytes("x"), bytes("y")) == bytes("x"));
    CHECK(!store.check({"absent"}));
    CHECK(store.add("count", 5) == 5 && store.add("count", -6) == -1);
    CHECK(store.get("count") == bytes("-1"));
    CHECK(store.check({"key", "count", "key"}) && !store.check({"key", "absent"}) &&
          store.check({}));
    CHECK(store.getNumKeys() >= 3);
    CHECK(store.deleteKey("key") && !store.deleteKey("key"));
    thrown<std::invalid_argument>([&] { store.add("new", 1); });
    thrown<std::invalid_argument>([&] { store.set("a\0b"s, binary); });
}

// What a version of libtorch has, it has natively.
void extended(const c10::intrusive_ptr<rdzv::C10dStore>& store) {
#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 201
    CHECK(store->hasExtendedApi());
    store->append("log", bytes("a"));
    store->append("log", bytes("b"));
    store->multiSet({"m1", "m2"}, {bytes("1"), bytes("2")});
    CHECK((store->multiGet({"m2", "log", "m1"}) ==
           std::vector<Bytes>{bytes("2"), bytes("ab"), bytes("1")}));
#endif
#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 208
    store->queuePush("queue", bytes("1"));
    CHECK(store->queueLen("queue") == 1);
    CHECK(store->queuePop("queue", true) == bytes("1"));
    thrown<c10::DistQueueEmptyError>([&] { store->queuePop("queue", false); });
    CHECK(store->clone()->getTimeout() == store->getTimeout());
#endif
#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 210
    CHECK(!store->listKeys().empty());
#endif
#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 212
    store->barrier("barrier", 1, 1s);
    thrown<Timeout>([&] { store->barrier("alone", 2, 10ms); });
#endif
    CHECK(store->store().timeout() == store->getTimeout());
}

void prefixes(const c10::intrusive_ptr<rdzv::C10dStore>& store) {
    c10d::PrefixStore outer("outer", store);
    auto inner = c10::make_intrusive<c10d::PrefixStore>(
        "", c10::make_intrusive<c10d::PrefixStore>("p", store));
    outer.set("key", bytes("1"));
    inner->set("0/0", bytes("2"));
    CHECK(store->get("outer/key") == bytes("1"));
    CHECK(store->get("p//0/0") == bytes("2"));
    inner->setTimeout(1234ms);
    CHECK(store->getTimeout() == 1234ms && store->store().timeout() == 1234ms);
    CHECK(store->store().with_prefix("p").get("/0/0") == bytes("2"));
}

void timeouts(c10d::Store& store) {
    store.setTimeout(100ms);
    const auto before = std::chrono::steady_clock::now();
    const std::string message = thrown<Timeout>([&] { store.get("missing"); });
    CHECK_CONTAINS(message.c_str(), "imeout");
    CHECK_CONTAINS(message.c_str(), "missing");
    thrown<Timeout>([&] { store.wait({"missing"}); });
    thrown<Timeout>([&] { store.wait({"missing"}, 0ms); });
    CHECK(std::chrono::steady_clock::now() - before < 30s);
    store.wait({});

    // A negative one is for ever, so longer than this one is.
    store.setTimeout(-1ms);
    CHECK(store.getTimeout() == -1ms);
    std::thread setter([&] {
        std::this_thread::sleep_for(200ms);
        store.set("late/1", bytes("1"));
        store.set("late/2", bytes("2"));
        store.set("late/3", bytes("3"));
    });
    CHECK(store.get("late/1") == bytes("1"));
    store.wait({"late/1", "late/2"});
    store.wait({"late/3"}, -5ms);
    setter.join();
    store.setTimeout(60s);
}

// Threads that wait hold up no other, and setTimeout() neither.
void threads(c10d::Store& store) {
    std::vector<std::thread> waiters;
    std::atomic<int> woken = 0;
    for (int i = 0; i < 8; ++i) {
        waiters.emplace_back([&, i] {
            if (i % 2 == 0) {
                CHECK(store.get("gate") == bytes("open"));
            } else {
                store.wait({"gate"}, 50s);
            }
            ++woken;
        });
    }
    std::this_thread::sleep_for(100ms);
    for (int i = 1; i <= 20; ++i) {
        CHECK(store.add("meanwhile", 1) == i);
    }
    CHECK(woken == 0);
    store.set("gate", bytes("open"));
    for (std::thread& waiter : waiters) {
        waiter.join();
    }
}

// Gloo's hot path: `wait` and then `get`.
void hot_path(c10d::Store& store, const rdzv::Store& other) {
    store.set("hot", bytes("1"));
    int count = requests_of([&] {
        store.wait({"hot"}, 10s);
        CHECK(store.get("hot") == bytes("1"));
    });
    CHECK(count >= 1 && count <= 2);
    // `get` reads what is there then, not what was there when `wait` looked.
    store.wait({"hot"}, 10s);
    other.set("hot", "2");
    CHECK(store.get("hot") == bytes("2"));
    const int written = writes;
    store.add("hot/count", 7);
    CHECK(writes > written);
    const int before = writes;
    CHECK_INT(requests_of([&] { CHECK(store.add("hot/count", 0) == 7); }), 1);
    CHECK_INT(writes, before);
    CHECK(store.add("hot/none", 0) == 0);
    CHECK(!store.check({"hot/none"}));
}

void cancel(const rdzv::Store& store) {
    auto c10d = c10::make_intrusive<rdzv::C10dStore>(store.clone());
    std::thread waiter([&] { thrown<std::exception>([&] { c10d->get("never"); }); });
    std::this_thread::sleep_for(50ms);
    c10d->cancel();
    waiter.join();
    CHECK(store.check({}));
}

void lost_etcd(const char* api) {
    rdzv::ServerOptions options;
    rdzv::Server server(options);
    rdzv::Params params("etcd", server.endpoint(), "run", 1, 1);
    params.set("api", api).set("reconnect_timeout", "1");
    auto store = c10::make_intrusive<rdzv::C10dStore>(rdzv::create_backend(params).store);
    store->set("key", bytes("1"));
    server.stop();
    const std::string message = thrown<Network>([&] { store->get("key"); });
    CHECK_CONTAINS(message.c_str(), "connection to etcd");
    thrown<Network>([&] { store->set("key", bytes("2")); });
}

}  // namespace

int main() {
    const char* endpoint = std::getenv("RDZV_TEST_ENDPOINT");
    const char* api = std::getenv("RDZV_TEST_API");
    CHECK(endpoint != nullptr && api != nullptr);
    rdzv::set_log_callback(RDZV_LOG_TRACE, count);
    rdzv::Params params("etcd", endpoint, "run", 1, 1);
    params.set("api", api).set("store_timeout", "60");
    const rdzv::Store store = std::move(rdzv::create_backend(params).store);
    auto c10d = c10::make_intrusive<rdzv::C10dStore>(store.clone());
    CHECK(c10d->getTimeout() == 60s);
    one_key(*c10d);
    extended(c10d);
    prefixes(c10d);
    timeouts(*c10d);
    threads(*c10d);
    hot_path(*c10d, std::move(rdzv::create_backend(params).store));
    cancel(store);
    lost_etcd(api);
}
