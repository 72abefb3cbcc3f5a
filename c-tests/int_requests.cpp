// The requests that each call makes, as a proxy before etcd sees them: reads go to the key, never
// to its directory.
#include <functional>
#include <thread>

#include "link.hpp"
#include "log_proxy.hpp"

namespace {

using Lines = std::vector<std::string>;

const char kStore[] = "/v2/keys/torch/elastic/store/";
const char kState[] = "/v2/keys/torch/elastic/rendezvous/requests";

// Names in the table's keys are as short as their base64 is easy to read.
const char kA[] = "YQ==", kB[] = "Yg==", kC[] = "Yw==", kN[] = "bg==";

std::string read(const std::string &name) {
    return "GET " + std::string(kStore) + name + "?quorum=true";
}
// The index is any number.
std::string poll_of(const std::string &name) {
    return "GET " + std::string(kStore) + name + "?wait=true&waitIndex=#";
}
std::string write(const std::string &name) {
    return "PUT " + std::string(kStore) + name;
}

// Under v3 every request is a POST, and what counts is how many of which kind.
const char kRange[] = "POST /v3/kv/range", kPut[] = "POST /v3/kv/put", kTxn[] = "POST /v3/kv/txn",
           kWatch[] = "POST /v3/watch";

struct Case {
    const char *what;
    std::function<void(const Link &)> prepare;  // not looked at
    std::function<void(const Link &)> call;
    Lines v2;
    Lines v3;
};

// Lets `late` happen while `call` waits.
void meanwhile(const std::function<void()> &late, const std::function<void()> &call) {
    std::thread thread([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(150));
        late();
    });
    call();
    thread.join();
}

// By a connection that the proxy does not see.
void set_aside(const std::string &key) {
    static const Link aside("requests");
    CHECK_OK(set(aside.store, key, "1"));
}

void get(const Link &link, const char *key) {
    Bytes value;
    CHECK_OK(rdzv_store_get(link.store, key, value.out()));
}

void add(const Link &link, const char *key, int64_t amount) {
    int64_t sum = 0;
    CHECK_OK(rdzv_store_add(link.store, key, amount, &sum));
}

void drop(const Link &link, const std::vector<const char *> &keys) {
    for (const char *key : keys) {
        bool deleted = false;
        CHECK_OK(rdzv_store_delete_key(link.store, key, &deleted));
    }
}

void compare(const Link &link, const char *key, const std::string &expected,
             const std::string &desired) {
    Bytes value;
    CHECK_OK(rdzv_store_compare_set(link.store, key, DATA(expected), DATA(desired), value.out()));
}

uint64_t state_token = 0;

void set_state(const Link &link, uint64_t token, bool wins) {
    Bytes state;
    bool has_set = false;
    const std::string text = "state";
    CHECK_OK(rdzv_set_state(link.backend, DATA(text), token, state.out(), &state_token, &has_set));
    CHECK(has_set == wins);
}

void many(const Link &link, const std::vector<std::string> &keys) {
    List values;
    CHECK_OK(rdzv_store_multi_get(link.store, pointers(keys).data(), keys.size(), values.out()));
}

void set_many(const Link &link, const std::vector<std::string> &keys) {
    const std::vector<rdzv_bytes> values(keys.size(), rdzv_bytes{nullptr, 0});
    CHECK_OK(rdzv_store_multi_set(link.store, pointers(keys).data(), values.data(), keys.size()));
}

void check_is(const Link &link, const std::vector<std::string> &keys, bool expected) {
    bool present = !expected;
    CHECK_OK(check(link.store, keys, &present));
    CHECK(present == expected);
}

const auto nothing = [](const Link &) {};
const auto drop_ab = [](const Link &link) { drop(link, {"a", "b"}); };
const auto set_ab = [](const Link &link) { set_many(link, {"a", "b"}); };

std::vector<Case> cases() {
    const std::string state_read = std::string("GET ") + kState + "?quorum=true",
                      state_write = std::string("PUT ") + kState;
    return {
        // --- reads ---
        {"get, present", set_ab, [](const Link &link) { get(link, "a"); }, {read(kA)}, {kRange}},
        {"get, missing",
         drop_ab,
         [](const Link &link) { meanwhile([] { set_aside("a"); }, [&] { get(link, "a"); }); },
         {read(kA), poll_of(kA)},
         {kRange, kWatch, kRange}},
        {"get, now or never",
         drop_ab,
         [](const Link &link) {
             Bytes value;
             CHECK_OK(rdzv_store_set_timeout(link.store, 0));
             CHECK_STATUS(rdzv_store_get(link.store, "a", value.out()), RDZV_STATUS_TIMEOUT);
             CHECK_OK(rdzv_store_set_timeout(link.store, 300000));
         },
         {read(kA)},
         {kRange}},
        {"check, 2 present and 1 twice",
         set_ab,
         [](const Link &link) {
             check_is(link, {"a", "b", "a"}, true);
         },
         {read(kA), read(kB)},
         {kTxn}},
        {"check, 1 present",
         set_ab,
         [](const Link &link) { check_is(link, {"a"}, true); },
         {read(kA)},
         {kRange}},
        {"check, none given", nothing, [](const Link &link) { check_is(link, {}, true); }, {}, {}},
        {"wait, 2 present",
         set_ab,
         [](const Link &link) {
             CHECK_OK(wait(link.store, {"a", "b"}, 1000));
         },
         {read(kA), read(kB)},
         {kTxn}},
        {"wait, 1 of 3 missing",
         [](const Link &link) {
             set_ab(link);
             drop(link, {"c"});
         },
         [](const Link &link) {
             meanwhile([] { set_aside("c"); },
                       [&] {
                           CHECK_OK(wait(link.store, {"a", "c", "b"}, 20000));
                       });
         },
         {read(kA), read(kC), read(kB), poll_of(kC)},
         {kTxn, kWatch, kRange}},
        {"wait, 2 missing",
         drop_ab,
         [](const Link &link) {
             meanwhile(
                 [] {
                     set_aside("a");
                     set_aside("b");
                 },
                 [&] {
                     CHECK_OK(wait(link.store, {"a", "b"}, 20000));
                 });
         },
         {read(kA), read(kB), poll_of(kA), poll_of(kB)},
         {kTxn, kWatch, kTxn}},
        {"multi_get, 2 present",
         set_ab,
         [](const Link &link) {
             many(link, {"a", "b"});
         },
         {read(kA), read(kB)},
         {kTxn}},
        {"add 0", nothing, [](const Link &link) { add(link, "n", 0); }, {read(kN)}, {kRange}},
        // --- writes ---
        {"set",
         nothing,
         [](const Link &link) { CHECK_OK(set(link.store, "a", "v")); },
         {write(kA)},
         {kPut}},
        {"multi_set, 2", nothing, set_ab, {write(kA), write(kB)}, {kTxn}},
        {"add, new",
         [](const Link &link) { drop(link, {"n"}); },
         [](const Link &link) { add(link, "n", 1); },
         {read(kN), write(kN)},
         {kRange, kTxn}},
        {"add, known", nothing, [](const Link &link) { add(link, "n", 1); }, {write(kN)}, {kTxn}},
        {"add, outdated",
         [](const Link &) { set_aside("n"); },
         [](const Link &link) { add(link, "n", 1); },
         {write(kN), read(kN), write(kN)},
         {kTxn, kTxn}},
        {"compare_set, empty as expected",
         set_ab,
         [](const Link &link) { compare(link, "b", "", "w"); },
         {write(kB), read(kB), write(kB)},
         {kTxn, kTxn}},
        {"compare_set, equal, not empty",
         nothing,
         [](const Link &link) { compare(link, "b", "w", "x"); },
         {write(kB)},
         {kTxn}},
        {"compare_set, other",
         nothing,
         [](const Link &link) { compare(link, "b", "w", "y"); },
         {read(kB)},
         {kTxn}},
        {"compare_set, outdated",
         [](const Link &) { set_aside("b"); },
         [](const Link &link) { compare(link, "b", "x", "y"); },
         {write(kB), read(kB)},
         {kTxn}},
        {"compare_set, equal, not seen before",
         [](const Link &link) { CHECK_OK(set(link.store, "c", "v")); },
         [](const Link &link) { compare(link, "c", "v", "w"); },
         {read(kC), write(kC)},
         {kTxn}},
        {"compare_set, create",
         drop_ab,
         [](const Link &link) { compare(link, "a", "", "v"); },
         {write(kA)},
         {kTxn}},
        {"delete_key",
         nothing,
         [](const Link &link) { drop(link, {"a"}); },
         {"DELETE " + std::string(kStore) + kA},
         {kTxn}},
        {"append, new",
         nothing,
         [](const Link &link) {
             CHECK_OK(
                 rdzv_store_append(link.store, "a", reinterpret_cast<const uint8_t *>("v"), 1));
         },
         {write(kA)},
         {kTxn}},
        // --- state ---
        {"set_state, new",
         nothing,
         [](const Link &link) { set_state(link, 0, true); },
         {state_write},
         {kTxn}},
        {"set_state, current",
         nothing,
         [](const Link &link) { set_state(link, state_token, true); },
         {state_write},
         {kTxn}},
        {"set_state, lost",
         nothing,
         [](const Link &link) { set_state(link, 0, false); },
         {state_write, state_read},
         {kTxn}},
        {"get_state",
         nothing,
         [](const Link &link) {
             Bytes state;
             CHECK_OK(rdzv_get_state(link.backend, state.out(), &state_token));
         },
         {state_read},
         {kRange}},
    };
}

// The line with the number of a waitIndex left out.
std::string without_index(std::string line) {
    const std::string name = "waitIndex=";
    const size_t at = line.find(name);
    if (at != std::string::npos) {
        line.replace(at + name.size(),
                     line.find_first_not_of("0123456789", at + name.size()) - at - name.size(),
                     "#");
    }
    return line;
}

void requests_are_as_expected(const Link &link, LogProxy &proxy) {
    int wrong = 0;
    for (const Case &one : cases()) {
        one.prepare(link);
        proxy.take();
        one.call(link);
        Lines lines;
        for (const LogProxy::Request &request : proxy.take()) {
            lines.push_back(without_index(request.line));
        }
        const Lines &expected = link.is_v2() ? one.v2 : one.v3;
        std::fprintf(stderr, "%-32s %zu\n", one.what, lines.size());
        if (lines != expected) {
            wrong++;
            for (const std::string &line : lines) {
                std::fprintf(stderr, "    made      %s\n", line.c_str());
            }
            for (const std::string &line : expected) {
                std::fprintf(stderr, "    expected  %s\n", line.c_str());
            }
        }
    }
    CHECK_INT(wrong, 0);
}

// However many keys others have: what a read costs does not depend on them, and it never asks for
// the directory.
void reads_never_list(const Link &link, LogProxy &proxy) {
    if (!link.is_v2()) {
        return;
    }
    for (int index = 0; index < 50; index++) {
        set_aside("other " + std::to_string(index));
    }
    proxy.take();
    get(link, "other 7");
    check_is(link, {"other 1", "other 2", "absent"}, false);
    CHECK_STATUS(wait(link.store, {"other 1", "absent"}, 50), RDZV_STATUS_TIMEOUT);
    const std::vector<LogProxy::Request> requests = proxy.take();
    CHECK_INT(requests.size(), 1 + 3 + 3);
    for (const LogProxy::Request &request : requests) {
        const std::string start = std::string("GET ") + kStore;
        CHECK(request.line.compare(0, start.size(), start) == 0 &&
              request.line.size() > start.size());
        CHECK(request.line[start.size()] != '?');
        CHECK(request.line.find("recursive") == std::string::npos);
    }
    // The proxy does see what a listing is.
    uint64_t count = 0;
    CHECK_OK(rdzv_store_num_keys(link.store, &count));
    CHECK(count >= 50);
    CHECK_CONTAINS(proxy.take().at(0).line.c_str(), "/torch/elastic/store?recursive=true");
}

}  // namespace

int main() {
    fixture_start();
    {
        LogProxy proxy(fixture_endpoint());
        rdzv_params *params = nullptr;
        CHECK_OK(rdzv_create_params("etcd", proxy.endpoint().c_str(), "requests", 1, 1, &params));
        CHECK_OK(rdzv_params_set(params, "api", fixture_api()));
        Link link(params);
        rdzv_free_params(params);
        CHECK(proxy.take().size() <= 3);
        requests_are_as_expected(link, proxy);
        reads_never_list(link, proxy);
    }
    fixture_stop();
    return 0;
}
