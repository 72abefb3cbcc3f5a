// rdzv.hpp against an etcd: every call once, what it throws, and that handles move and free
// themselves.
#include <atomic>
#include <rdzv.hpp>
#include <thread>
#include <type_traits>

#include "etcd_fixture.h"

using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

template <typename T>
constexpr bool only_moves =
    std::is_nothrow_move_constructible_v<T> &&std::is_nothrow_move_assignable_v<T> &&
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;

static_assert(only_moves<rdzv::Params> && only_moves<rdzv::Backend> && only_moves<rdzv::Store>);
static_assert(only_moves<rdzv::Server> && only_moves<rdzv::ServerOptions>);

// The error that the call throws; the test fails where it throws none.
template <typename Call>
rdzv::Error error_of(Call call) {
    try {
        call();
    } catch (const rdzv::Error &error) {
        return error;
    }
    CHECK(!"the call throws rdzv::Error");
    std::abort();
}

rdzv::Bytes bytes(std::string_view text) {
    return rdzv::Bytes(text.begin(), text.end());
}

rdzv::Params params_of(std::string_view run_id) {
    rdzv::Params params("etcd", fixture_endpoint(), run_id, 1, 4);
    params.set("api", fixture_api());
    return params;
}

void params() {
    rdzv::Params params("etcd", "localhost", "run", 1, 2);
    params.set("read_timeout", "7").set_config("a=1,b=2").unset("b");
    CHECK(params.get("read_timeout") == "7");
    CHECK(params.get("a") == "1");
    CHECK(params.get("b") == std::nullopt);

    params.set("read_timeout", "0");
    const auto zero = error_of([&] { rdzv::create_backend(params); });
    CHECK(zero.status() == RDZV_STATUS_INVALID_ARGUMENT);
    CHECK_STR(zero.message().c_str(), "The read timeout must be a positive integer.");
    CHECK_CONTAINS(zero.what(), "The read timeout must be a positive integer.");
    CHECK(error_of([&] { params.set("a\0b"s, "1"); }).status() == RDZV_STATUS_INVALID_ARGUMENT);
    CHECK(error_of([] { rdzv::Params("", "", "run", 1, 2); }).status() ==
          RDZV_STATUS_INVALID_ARGUMENT);

    rdzv::Params other = std::move(params);
    CHECK(other.get("a") == "1");
    CHECK(error_of([&] { (void)params.get("a"); }).status() == RDZV_STATUS_NULL_ARGUMENT);
    params = std::move(other);
    CHECK(params.get("a") == "1");
}

void unreachable() {
    rdzv::Params params("etcd", "127.0.0.1:1", "run", 1, 2);
    params.set("connect_timeout", "1").set("reconnect_timeout", "1");
    const auto error = error_of([&] { rdzv::create_backend(params); });
    CHECK(error.status() == RDZV_STATUS_CONNECTION);
    CHECK_STR(error.message().c_str(),
              "The connection to etcd has failed. See inner exception for details.");
    CHECK_CONTAINS(error.cause().c_str(), "127.0.0.1:1");
    CHECK(error.what() == error.message() + " (" + error.cause() + ")");
    CHECK(rdzv::status_name(error.status()) == "CONNECTION");
}

void state() {
    const auto backend = std::move(rdzv::create_backend(params_of("state")).backend);
    CHECK_CONTAINS(backend.name().c_str(), "etcd-v");
    CHECK(!backend.get_state());

    const auto created = backend.set_state("one");
    CHECK(created && created->has_set && created->token != 0 && created->value == bytes("one"));
    const auto lost = backend.set_state("two");
    CHECK(lost && !lost->has_set && lost->token == created->token && lost->value == bytes("one"));
    const auto replaced = backend.set_state(std::string("t\0o", 3), created->token);
    CHECK(replaced && replaced->has_set && replaced->token != created->token);
    const auto current = backend.get_state();
    CHECK(current && current->token == replaced->token && current->value == bytes({"t\0o", 3}));

    const auto elsewhere = std::move(rdzv::create_backend(params_of("vanished")).backend);
    CHECK(!elsewhere.set_state("three", current->token));

    backend.cancel();
    CHECK(error_of([&] { (void)backend.get_state(); }).status() == RDZV_STATUS_CANCELLED);
}

void one_key(const rdzv::Store &store) {
    const rdzv::Bytes binary = {0, 255, 10, 0, '='};
    store.set("key", binary);
    CHECK(store.get("key") == binary);
    store.set("key", {});
    CHECK(store.get("key").empty());
    store.set("key", "text");
    store.append("key", "+"s);
    CHECK(store.get("key") == bytes("text+"));
    CHECK(store.compare_set("key", "text+", "new") == bytes("new"));
    CHECK(store.compare_set("key", "wrong", "newer") == bytes("new"));
    CHECK(store.compare_set("absent", "wrong", "newer") == bytes("wrong"));
    CHECK(store.add("count", 5) == 5);
    CHECK(store.add("count", -7) == -2);
    CHECK(store.add("count", 0) == -2);
    CHECK(error_of([&] { store.add("key", 1); }).status() == RDZV_STATUS_INVALID_ARGUMENT);
    CHECK(error_of([&] { (void)store.get("a\0b"s); }).status() == RDZV_STATUS_INVALID_ARGUMENT);
    CHECK(error_of([&] { store.wait({"a", "a\0b"s}); }).status() == RDZV_STATUS_INVALID_ARGUMENT);
    CHECK(store.delete_key("key"));
    CHECK(!store.delete_key("key"));
}

void many_keys(const rdzv::Store &root) {
    const rdzv::Store store = root.with_prefix("many");
    CHECK(store.check({}));
    store.wait({});
    CHECK(store.multi_get({}).empty());
    store.multi_set({"a", "b//\xff"}, {bytes("1"), {}});
    CHECK(store.check({"a", "b//\xff", "a"}));
    CHECK(!store.check({"a", "c"}));
    CHECK((store.multi_get({"b//\xff", "a"}) == std::vector<rdzv::Bytes>{{}, bytes("1")}));
    CHECK(root.get("many/a") == bytes("1"));
    CHECK((store.list_keys() == std::vector<std::string>{"a", "b//\xff"}));
    CHECK(store.num_keys() >= 2);
    CHECK(error_of([&] { store.multi_set({"a"}, {}); }).status() == RDZV_STATUS_INVALID_ARGUMENT);
}

void queues(const rdzv::Store &store) {
    CHECK(store.queue_len("queue") == 0);
    CHECK(!store.try_queue_pop("queue"));
    store.queue_push("queue", "one");
    store.queue_push("queue", "two");
    CHECK(store.queue_len("queue") == 2);
    CHECK(store.queue_pop("queue") == bytes("one"));
    CHECK(store.try_queue_pop("queue") == bytes("two"));
}

void timeouts(const rdzv::Store &root) {
    const rdzv::Store store = root.clone();
    store.set_timeout(1500ms);
    CHECK(store.timeout() == 1500ms);
    CHECK(root.timeout() != 1500ms);
    store.set_timeout(0s);
    const auto error = error_of([&] { (void)store.get("missing"); });
    CHECK(error.status() == RDZV_STATUS_TIMEOUT);
    CHECK_CONTAINS(error.what(), "missing");
    CHECK(error_of([&] { store.wait({"missing"}); }).status() == RDZV_STATUS_TIMEOUT);
    CHECK(error_of([&] { (void)store.queue_pop("queue"); }).status() == RDZV_STATUS_TIMEOUT);
    CHECK(error_of([&] { store.wait({"missing"}, -1ms); }).status() ==
          RDZV_STATUS_INVALID_ARGUMENT);
    CHECK(error_of([&] { store.barrier("alone", 2, 10ms); }).status() == RDZV_STATUS_TIMEOUT);
    store.barrier("enough", 1);
    store.set_timeout(std::chrono::milliseconds::max());
    CHECK(store.timeout() == std::chrono::milliseconds::max());

    const auto before = std::chrono::steady_clock::now();
    CHECK(error_of([&] { store.wait({"missing"}, 200ms); }).status() == RDZV_STATUS_TIMEOUT);
    const auto took = std::chrono::steady_clock::now() - before;
    CHECK(took >= 200ms && took < 30s);

    std::thread setter([&] { root.set("late", "value"); });
    CHECK(store.get("late") == bytes("value"));
    setter.join();
}

void cancel(const rdzv::Store &root) {
    const rdzv::Store store = root.clone();
    std::atomic<bool> cancelled = false;
    std::thread waiter([&] {
        cancelled = error_of([&] { (void)store.get("never"); }).status() == RDZV_STATUS_CANCELLED;
    });
    std::this_thread::sleep_for(50ms);
    store.cancel();
    waiter.join();
    CHECK(cancelled);
    CHECK(root.check({}));
}

void logging() {
    std::atomic<int> lines = 0;
    rdzv::set_log_callback(RDZV_LOG_TRACE, [&](std::int32_t level, std::string_view line) {
        CHECK(level > RDZV_LOG_OFF && level <= RDZV_LOG_TRACE && !line.empty());
        ++lines;
        CHECK(error_of([] { rdzv::set_log_callback(RDZV_LOG_OFF, nullptr); }).status() ==
              RDZV_STATUS_INVALID_ARGUMENT);
        throw 0;
    });
    auto [backend, store] = rdzv::create_backend(params_of("log"));
    store.set("key", "value");
    CHECK(lines > 0);
    rdzv::set_log_callback(RDZV_LOG_OFF, nullptr);
    const int before = lines;
    store.set("key", "value");
    CHECK_INT(lines, before);
}

void server() {
    rdzv::ServerOptions options;
    CHECK(error_of([&] { options.set("no_such_option", "1"); }).status() ==
          RDZV_STATUS_INVALID_ARGUMENT);
    options.set("host", "127.0.0.1");
    rdzv::Server server(options);
    CHECK(server.port() != 0 && server.host() == "127.0.0.1" && !server.version().empty());
    CHECK(server.endpoint() == "127.0.0.1:" + std::to_string(server.port()));
    rdzv::Params params("etcd", server.endpoint(), "run", 1, 1);
    params.set("reconnect_timeout", "1");
    auto [backend, store] = rdzv::create_backend(params);
    store.set("key", "value");
    rdzv::Server moved = std::move(server);
    moved.stop();
    moved.stop();
    CHECK(error_of([store = &store] { (void)store->get("key"); }).status() ==
          RDZV_STATUS_CONNECTION);
    options.set("binary", "/nowhere/etcd");
    CHECK(error_of([&] { rdzv::Server(std::as_const(options)); }).status() ==
          RDZV_STATUS_INVALID_ARGUMENT);
}

}  // namespace

int main() {
    CHECK(rdzv::version() == rdzv_version());
    params();
    unreachable();
    fixture_start();
    {
        state();
        const rdzv::Store store = std::move(rdzv::create_backend(params_of("store")).store);
        one_key(store);
        many_keys(store);
        queues(store);
        timeouts(store);
        cancel(store);
        rdzv::Store empty = store.clone();
        const rdzv::Store taken = std::move(empty);
        CHECK(error_of([&] { (void)empty.get("key"); }).status() == RDZV_STATUS_NULL_ARGUMENT);
        empty.cancel();
    }
    logging();
    fixture_stop();
    server();
}
