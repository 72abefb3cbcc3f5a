// Two processes on etcd v2: one uses the library, the other is curl, saying what PyTorch's
// EtcdStore and EtcdRendezvousBackend say. Each reads what the other writes: state, keys, counters.
#include <sys/wait.h>

#include <thread>

#include "link.hpp"
#include "wire.hpp"

namespace {

// The answer to curl with these arguments on a path below /v2/keys; the status is its last line.
wire::Reply curl(const std::string &path, const std::vector<std::string> &arguments) {
    std::string command = "curl -sS -w '\\n%{http_code}'";
    for (const std::string &argument : arguments) {
        CHECK(argument.find('\'') == std::string::npos);
        command += " '" + argument + "'";
    }
    command += " 'http://" + std::string(fixture_endpoint()) + "/v2/keys" + path + "'";
    FILE *output = popen(command.c_str(), "r");
    CHECK(output != nullptr);
    std::string text;
    char some[4096];
    for (size_t len = 0; (len = fread(some, 1, sizeof some, output)) > 0;) {
        text.append(some, len);
    }
    CHECK_INT(pclose(output), 0);
    const size_t line = text.rfind('\n');
    CHECK(line != std::string::npos);
    return {std::atoi(text.c_str() + line + 1), text.substr(0, line)};
}

const std::string kState = "/torch/elastic/rendezvous/wire";

std::string store_path(const std::string &key) {
    return "/torch/elastic/store/" + wire::base64(key);
}

// PyTorch's write: the value as a form field.
std::vector<std::string> put(const std::string &value,
                             const std::vector<std::string> &fields = {}) {
    std::vector<std::string> arguments = {"-X", "PUT", "--data-urlencode", "value=" + value};
    for (const std::string &field : fields) {
        arguments.push_back("-d");
        arguments.push_back(field);
    }
    return arguments;
}

std::string value_of(const wire::Reply &reply) {
    CHECK_INT(reply.status, 200);
    return wire::member(reply.body, "value").value();
}

long token_of(const wire::Reply &reply) {
    return wire::number(reply.body, "modifiedIndex");
}

void states_alternate(const Link &link) {
    Bytes state;
    uint64_t token = 0;
    bool has_set = false;
    // The library creates; curl loses the race, reads, and replaces under the library's token.
    std::string text = "from the library";
    CHECK_OK(rdzv_set_state(link.backend, DATA(text), 0, state.out(), &token, &has_set));
    CHECK(has_set);
    CHECK_INT(curl(kState, put(wire::base64("late"), {"ttl=7200", "prevExist=false"})).status, 412);
    const wire::Reply seen = curl(kState, {});
    CHECK_STR(value_of(seen).c_str(), wire::base64(text).c_str());
    CHECK_INT(token_of(seen), token);
    const long ttl = wire::number(seen.body, "ttl");
    CHECK(ttl <= 7200 && ttl > 7100);
    const std::string theirs = wire::base64("from curl");
    const wire::Reply won =
        curl(kState, put(theirs, {"ttl=7200", "prevIndex=" + std::to_string(token)}));
    CHECK_INT(won.status, 200);
    // The library's token is old now; it gets curl's state and token, and replaces that.
    CHECK_OK(rdzv_set_state(link.backend, DATA(text), token, state.out(), &token, &has_set));
    CHECK(!has_set);
    CHECK_TEXT(state, "from curl");
    CHECK_INT(token, token_of(won));
    CHECK_OK(rdzv_get_state(link.backend, state.out(), &token));
    CHECK_TEXT(state, "from curl");
    CHECK_INT(token, token_of(won));
    text = std::string("\0\xff binary +/=", 12);
    CHECK_OK(rdzv_set_state(link.backend, DATA(text), token, state.out(), &token, &has_set));
    CHECK(has_set);
    CHECK_STR(value_of(curl(kState, {})).c_str(), wire::base64(text).c_str());
    CHECK_INT(curl(kState, put(theirs, {"ttl=7200", "prevIndex=" + std::to_string(token_of(won))}))
                  .status,
              412);
    // Gone is gone, for both.
    CHECK_INT(curl(kState, {"-X", "DELETE"}).status, 200);
    CHECK_STATUS(rdzv_get_state(link.backend, state.out(), &token), RDZV_STATUS_NOT_FOUND);
    CHECK_INT(curl(kState, put(theirs, {"ttl=7200", "prevExist=false"})).status, 201);
    CHECK_OK(rdzv_get_state(link.backend, state.out(), &token));
    CHECK_TEXT(state, "from curl");
}

void keys_go_both_ways(const Link &link) {
    const std::string values[] = {"plain", "", std::string("\0\x01\xfe\xff", 4),
                                  std::string(3000, '~')};
    for (const std::string &value : values) {
        CHECK_OK(set(link.store, "to curl", value));
        CHECK_STR(value_of(curl(store_path("to curl"), {})).c_str(), wire::base64(value).c_str());
        const int status = curl(store_path("from curl"), put(wire::base64(value))).status;
        CHECK(status == 200 || status == 201);
        Bytes read;
        CHECK_OK(rdzv_store_get(link.store, "from curl", read.out()));
        CHECK_TEXT(read, value);
        CHECK_OK(wait(link.store, {"from curl", "to curl"}, 0));
    }
    // A key that PyTorch writes as a directory and a file, and cannot find again: here it can.
    CHECK_INT(curl(store_path("aa?b"), put(wire::base64("v"))).status, 201);
    Bytes read;
    CHECK_OK(rdzv_store_get(link.store, "aa?b", read.out()));
    CHECK_TEXT(read, "v");
    // Prefixes are a part of the key, as in PrefixStore.
    rdzv_store *prefixed = nullptr;
    CHECK_OK(rdzv_store_with_prefix(link.store, "torch.rendezvous.wire.0", &prefixed));
    CHECK_INT(curl(store_path("torch.rendezvous.wire.0/MASTER_ADDR"), put(wire::base64("10.0.0.1")))
                  .status,
              201);
    CHECK_OK(rdzv_store_get(prefixed, "MASTER_ADDR", read.out()));
    CHECK_TEXT(read, "10.0.0.1");
    rdzv_free_store(prefixed);
    // What the library lists is what curl sees, and the other way round.
    uint64_t count = 0;
    CHECK_OK(rdzv_store_num_keys(link.store, &count));
    CHECK_INT(count, 4);
}

void waits_go_both_ways(const Link &link) {
    std::thread writer([] {
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        CHECK_INT(curl(store_path("awaited"), put(wire::base64("v"))).status, 201);
    });
    Bytes read;
    CHECK_OK(rdzv_store_get(link.store, "awaited", read.out()));
    CHECK_TEXT(read, "v");
    writer.join();
    std::thread setter([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        CHECK_OK(set(link.store, "awaited by curl", "v"));
    });
    // EtcdStore waits below the whole directory.
    const wire::Reply event = curl("/torch/elastic/store?wait=true&recursive=true", {"-m", "20"});
    CHECK_STR(value_of(event).c_str(), "dg==");
    setter.join();
}

// EtcdStore.add: create, else read and replace under the value that was read.
void curl_adds(const std::string &key, int amount) {
    if (curl(store_path(key), put(wire::base64(std::to_string(amount)), {"prevExist=false"}))
            .status == 201) {
        return;
    }
    for (;;) {
        const std::string before = value_of(curl(store_path(key), {}));
        int number = 0;  // a small one
        while (wire::base64(std::to_string(number)) != before) {
            CHECK(number < 10000);
            number++;
        }
        const std::string after = wire::base64(std::to_string(number + amount));
        const wire::Reply reply =
            curl(store_path(key), put(after, {"prevValue=" + wire::form(before)}));
        if (reply.status == 200) {
            return;
        }
        CHECK_INT(reply.status, 412);
    }
}

void counters_are_exact_between_both(const Link &link) {
    constexpr int kRounds = 10;
    int64_t sum = 0;
    const pid_t library = fork();
    CHECK(library >= 0);
    if (library == 0) {
        for (int round = 0; round < kRounds * 4; round++) {
            CHECK_OK(rdzv_store_add(link.store, "counted by both", 1, &sum));
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        _exit(0);
    }
    for (int round = 0; round < kRounds; round++) {
        curl_adds("counted by both", 1);
    }
    int status = 0;
    CHECK(waitpid(library, &status, 0) == library && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_OK(rdzv_store_add(link.store, "counted by both", 0, &sum));
    CHECK_INT(sum, kRounds * 5);
    CHECK_STR(value_of(curl(store_path("counted by both"), {})).c_str(),
              wire::base64(std::to_string(sum)).c_str());
}

}  // namespace

int main() {
    if (std::system("curl --version >/dev/null 2>&1") != 0) {
        return fixture_skip("there is no curl");
    }
    fixture_start();
    int result = 0;
    {
        Link link("wire");
        if (link.is_v2()) {
            keys_go_both_ways(link);
            states_alternate(link);
            waits_go_both_ways(link);
            counters_are_exact_between_both(link);
        } else {
            result = fixture_skip("PyTorch's format is v2's, and this etcd is spoken to in v3");
        }
    }
    fixture_stop();
    return result;
}
