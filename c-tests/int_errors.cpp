// What a failure says when etcd goes away: the sentence, then operation, key, endpoint and time;
// never a secret.
#include <functional>
#include <mutex>

#include "link.hpp"
#include "wire.hpp"

namespace {

const char kConnection[] = "The connection to etcd has failed. See inner exception for details.";
const std::string kPassword = "hunter2-password";
const std::string kValue = "secret-value-of-a-key";

// All that the library has logged, from any thread.
std::mutex log_mutex;
std::string log_text;

void collect(int32_t, const char *message, void *) {
    const std::lock_guard<std::mutex> guard(log_mutex);
    log_text += message;
    log_text += '\n';
}

void check_no_secret(const std::string &text, const char *where) {
    for (const std::string &secret : {kPassword, kValue, wire::base64(kPassword),
                                      wire::base64(kValue), wire::base64("someone:" + kPassword)}) {
        // Base64 within other base64 may end anywhere.
        const std::string part = secret.substr(0, secret.size() - 4);
        if (text.find(part) != std::string::npos) {
            std::fprintf(stderr, "%s tells a secret:\n%s\n", where, text.c_str());
            CHECK(!"secrets are never told");
        }
    }
}

struct Operation {
    const char *name;     // as the cause has it
    const char *subject;  // as the cause has it
    std::function<rdzv_status(const Link &)> call;
};

const Operation kOperations[] = {
    {"get_state", "'errors'",
     [](const Link &link) {
         Bytes state;
         uint64_t token = 0;
         return rdzv_get_state(link.backend, state.out(), &token);
     }},
    {"set_state", "'errors'",
     [](const Link &link) {
         Bytes state;
         uint64_t token = 0;
         bool has_set = false;
         return rdzv_set_state(link.backend, DATA(kValue), 0, state.out(), &token, &has_set);
     }},
    {"set", "'key'", [](const Link &link) { return set(link.store, "key", kValue); }},
    {"get", "'key'",
     [](const Link &link) {
         Bytes value;
         return rdzv_store_get(link.store, "key", value.out());
     }},
    {"add", "'key'",
     [](const Link &link) {
         int64_t sum = 0;
         return rdzv_store_add(link.store, "key", 1, &sum);
     }},
    {"append", "'key'",
     [](const Link &link) { return rdzv_store_append(link.store, "key", DATA(kValue)); }},
    {"compare_set", "'key'",
     [](const Link &link) {
         Bytes value;
         return rdzv_store_compare_set(link.store, "key", DATA(kValue), DATA(kValue), value.out());
     }},
    {"delete_key", "'key'",
     [](const Link &link) {
         bool deleted = false;
         return rdzv_store_delete_key(link.store, "key", &deleted);
     }},
    {"wait", "2 keys",
     [](const Link &link) {
         return wait(link.store, {"key", "other"}, 60000);
     }},
    {"check", "'key'",
     [](const Link &link) {
         bool present = false;
         return check(link.store, {"key"}, &present);
     }},
    {"num_keys", "",
     [](const Link &link) {
         uint64_t count = 0;
         return rdzv_store_num_keys(link.store, &count);
     }},
    {"list_keys", "",
     [](const Link &link) {
         List keys;
         return rdzv_store_list_keys(link.store, keys.out());
     }},
    {"queue_push", "'key'",
     [](const Link &link) { return rdzv_store_queue_push(link.store, "key", DATA(kValue)); }},
    {"queue_pop", "'key'",
     [](const Link &link) {
         Bytes value;
         return rdzv_store_queue_pop(link.store, "key", true, value.out());
     }},
    {"queue_len", "'key'",
     [](const Link &link) {
         uint64_t len = 0;
         return rdzv_store_queue_len(link.store, "key", &len);
     }},
    {"barrier", "'key'",
     [](const Link &link) { return rdzv_store_barrier(link.store, "key", 2, 60000); }},
};

void refused_connections_are_told(const Link &link, const std::string &endpoint) {
    for (const Operation &operation : kOperations) {
        const Clock clock;
        CHECK_STATUS(operation.call(link), RDZV_STATUS_CONNECTION);
        CHECK(clock.ms() < 1000);  // the reconnect timeout is 0
        CHECK_STR(rdzv_last_error_message(), kConnection);
        CHECK_INT(rdzv_last_error_status(), RDZV_STATUS_CONNECTION);
        const std::string cause = rdzv_last_error_cause();
        for (const std::string &part : {std::string(operation.name), std::string(operation.subject),
                                        endpoint, std::string(" ms"), std::string("refused")}) {
            CHECK_CONTAINS(cause.c_str(), part.c_str());
        }
        CHECK(cause.find(".rs:") == std::string::npos);
        check_no_secret(cause, operation.name);
    }
}

// An etcd may be on its way back: calls go on trying for the reconnect timeout, 1 s here, but never
// beyond their own.
void calls_go_on_trying_for_a_while(const Link &link) {
    const Clock patient;
    CHECK_STATUS(set(link.store, "key", "v"), RDZV_STATUS_CONNECTION);
    CHECK(patient.ms() >= 1000 && patient.ms() < 2500);
    const Clock waiting;
    CHECK_STATUS(wait(link.store, {"key"}, 200), RDZV_STATUS_TIMEOUT);
    CHECK(waiting.ms() >= 200 && waiting.ms() < 400);
    CHECK_CONTAINS(rdzv_last_error_message(), "'key'");
    CHECK_CONTAINS(rdzv_last_error_cause(), "refused");
}

void freeing_is_quick_without_etcd() {
    double slowest = 0;
    for (int attempt = 0; attempt < 5; attempt++) {
        fixture_start();
        auto *link = new Link("errors");
        CHECK_OK(set(link->store, "key", "v"));
        fixture_stop();
        const Clock clock;
        delete link;
        slowest = clock.ms();
        if (slowest < 100) {
            return;
        }
    }
    std::fprintf(stderr, "freeing took %.1f ms\n", slowest);
    CHECK(!"handles are freed within 100 ms without etcd");
}

}  // namespace

int main() {
    CHECK_OK(rdzv_set_log_callback(RDZV_LOG_TRACE, collect, nullptr));
    fixture_start();
    rdzv_params *params = fixture_params("errors");
    CHECK_OK(rdzv_params_set(params, "reconnect_timeout", "1"));
    Link *patient = new Link(params);
    CHECK_OK(rdzv_params_set(params, "reconnect_timeout", "0"));
    // An etcd without authentication takes no notice of v2's. v3 would have to log in, which such
    // an etcd refuses.
    if (std::string(fixture_api()) != "v3") {
        CHECK_OK(rdzv_params_set(params, "username", "someone"));
        CHECK_OK(rdzv_params_set(params, "password", kPassword.c_str()));
    }
    const std::string endpoint = fixture_endpoint();
    {
        Link link(params);
        CHECK_OK(set(link.store, "key", kValue));
        int64_t sum = 0;
        CHECK_STATUS(rdzv_store_add(link.store, "key", 1, &sum), RDZV_STATUS_INVALID_ARGUMENT);
        check_no_secret(std::string(rdzv_last_error_message()) + rdzv_last_error_cause(), "add");
        for (const Operation &operation : kOperations) {
            if (std::string(operation.name) != "wait" && std::string(operation.name) != "barrier") {
                operation.call(link);
            }
        }
        fixture_stop();
        refused_connections_are_told(link, endpoint);
        calls_go_on_trying_for_a_while(*patient);
    }
    delete patient;
    rdzv_backend *backend = nullptr;
    rdzv_store *store = nullptr;
    CHECK_STATUS(rdzv_create_backend(params, &backend, &store), RDZV_STATUS_CONNECTION);
    CHECK_STR(rdzv_last_error_message(), kConnection);
    CHECK_CONTAINS(rdzv_last_error_cause(), endpoint.c_str());
    check_no_secret(rdzv_last_error_cause(), "create_backend");
    rdzv_free_params(params);
    freeing_is_quick_without_etcd();
    CHECK_OK(rdzv_set_log_callback(RDZV_LOG_OFF, nullptr, nullptr));
    CHECK(log_text.size() > 1000);
    check_no_secret(log_text, "the log");
    return 0;
}
