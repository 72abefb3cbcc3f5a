// The reference's cases for creating a backend, its sentences included, with the wire read by
// another HTTP client.
#include "link.hpp"
#include "wire.hpp"

namespace {

// The reference's parameters; free them with rdzv_free_params().
rdzv_params *reference_params(const char *endpoint) {
    rdzv_params *params = nullptr;
    CHECK_OK(rdzv_create_params("dummy_backend", endpoint, "dummy_run_id", 1, 1, &params));
    CHECK_OK(rdzv_params_set(params, "protocol", "hTTp"));
    CHECK_OK(rdzv_params_set(params, "read_timeout", "10"));
    return params;
}

// Option `api` is as the fixture says, so that the case runs over each API; "auto" is its default.
void returns_backend(const rdzv_params *params) {
    Link link(params);
    const bool v2 = link.is_v2();
    CHECK_STR(rdzv_backend_name(link.backend), v2 ? "etcd-v2" : "etcd-v3");
    if (std::string(fixture_api()) != "auto") {
        CHECK_STR(rdzv_backend_name(link.backend), (std::string("etcd-") + fixture_api()).c_str());
    }
    const std::string state_path = "/torch/elastic/rendezvous/dummy_run_id";
    const std::string key = v2 ? wire::base64("dummy_key") : "dummy_key";
    const std::string key_path = "/torch/elastic/store/" + key;
    wire::remove(fixture_endpoint(), v2, state_path);
    wire::remove(fixture_endpoint(), v2, key_path);

    Bytes state;
    uint64_t token = 0;
    bool has_set = false;
    const std::string text = "dummy_state";
    CHECK_OK(rdzv_set_state(link.backend, DATA(text), 0, state.out(), &token, &has_set));
    CHECK(has_set);
    std::optional<wire::Node> node = wire::get(fixture_endpoint(), v2, state_path);
    CHECK(node.has_value());
    CHECK_STR(node->base64.c_str(), wire::base64("dummy_state").c_str());
    CHECK(node->ttl <= 7200);
    CHECK(node->ttl > 7100);

    CHECK_OK(set(link.store, "dummy_key", "dummy_value"));
    node = wire::get(fixture_endpoint(), v2, key_path);
    CHECK(node.has_value());
    CHECK_STR(node->base64.c_str(), wire::base64("dummy_value").c_str());
    CHECK_INT(node->ttl, 0);
}

void returns_backend_whatever_is_left_out() {
    rdzv_params *params = reference_params(fixture_endpoint());
    CHECK_OK(rdzv_params_set(params, "api", fixture_api()));
    returns_backend(params);
    CHECK_OK(rdzv_params_unset(params, "protocol"));
    returns_backend(params);
    CHECK_OK(rdzv_params_unset(params, "read_timeout"));
    returns_backend(params);
    CHECK_OK(rdzv_params_set(params, "protocol", " HTTP\t"));
    returns_backend(params);
    CHECK_OK(rdzv_params_unset(params, "api"));
    returns_backend(params);
    rdzv_free_params(params);
}

// The handles and the parameters that they were made from are independent of each other.
void handles_outlive_their_parameters() {
    rdzv_params *params = fixture_params("dummy_run_id");
    rdzv_backend *backend = nullptr;
    rdzv_store *store = nullptr;
    CHECK_OK(rdzv_create_backend(params, &backend, &store));
    CHECK_OK(rdzv_params_set(params, "protocol", "dummy"));
    rdzv_free_params(params);
    rdzv_free_backend(backend);
    CHECK_OK(set(store, "k", "v"));
    rdzv_free_store(store);
}

void check_refused(const rdzv_params *params, rdzv_status status, const char *sentence) {
    rdzv_backend *backend = nullptr;
    rdzv_store *store = nullptr;
    CHECK_STATUS(rdzv_create_backend(params, &backend, &store), status);
    CHECK_STR(rdzv_last_error_message(), sentence);
    CHECK_INT(rdzv_last_error_status(), status);
    CHECK(backend == nullptr && store == nullptr);
}

const char kConnection[] = "The connection to etcd has failed. See inner exception for details.";

void raises_error_if_etcd_is_unreachable() {
    rdzv_params *params = reference_params("dummy:1234");
    const Clock clock;
    check_refused(params, RDZV_STATUS_CONNECTION, kConnection);
    CHECK(clock.ms() < 3500);  // the connect timeout, 3 s by default
    CHECK_CONTAINS(rdzv_last_error_cause(), "dummy:1234");
    CHECK_CONTAINS(rdzv_last_error_cause(), " ms");
    rdzv_free_params(params);
}

// One that refuses, one that never answers, and one that answers something else.
void raises_error_if_nothing_there_is_etcd() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, reinterpret_cast<struct sockaddr *>(&address), sizeof address) == 0);
    socklen_t len = sizeof address;
    CHECK(getsockname(listener, reinterpret_cast<struct sockaddr *>(&address), &len) == 0);
    const std::string endpoint = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));

    rdzv_params *params = reference_params(endpoint.c_str());
    Clock refused;
    check_refused(params, RDZV_STATUS_CONNECTION, kConnection);
    CHECK(refused.ms() < 1000);
    CHECK_CONTAINS(rdzv_last_error_cause(), endpoint.c_str());

    CHECK(listen(listener, 8) == 0);
    CHECK_OK(rdzv_params_set(params, "read_timeout", "1"));
    Clock silent;
    check_refused(params, RDZV_STATUS_CONNECTION, kConnection);
    CHECK(silent.ms() >= 900 && silent.ms() < 2000);
    CHECK_CONTAINS(rdzv_last_error_cause(), endpoint.c_str());
    rdzv_free_params(params);
    close(listener);
}

void takes_the_first_endpoint_that_answers() {
    const std::string endpoints = "127.0.0.1:1, " + std::string(fixture_endpoint());
    rdzv_params *params = nullptr;
    CHECK_OK(rdzv_create_params("dummy_backend", endpoints.c_str(), "dummy_run_id", 1, 1, &params));
    CHECK_OK(rdzv_params_set(params, "api", fixture_api()));
    Link link(params);
    CHECK_OK(set(link.store, "k", "v"));
    rdzv_free_params(params);
}

void raises_error_if_protocol_is_invalid() {
    rdzv_params *params = reference_params(fixture_endpoint());
    for (const char *protocol : {"dummy", "", "httpss", "http s"}) {
        CHECK_OK(rdzv_params_set(params, "protocol", protocol));
        check_refused(params, RDZV_STATUS_INVALID_ARGUMENT, "The protocol must be HTTP or HTTPS.");
        CHECK_STR(rdzv_last_error_cause(), "");
    }
    rdzv_free_params(params);
}

void raises_error_if_read_timeout_is_invalid() {
    rdzv_params *params = reference_params(fixture_endpoint());
    for (const char *read_timeout : {"0", "-10"}) {
        CHECK_OK(rdzv_params_set(params, "read_timeout", read_timeout));
        check_refused(params, RDZV_STATUS_INVALID_ARGUMENT,
                      "The read timeout must be a positive integer.");
        CHECK_STR(rdzv_last_error_cause(), "");
    }
    rdzv_free_params(params);
}

void raises_error_if_run_id_is_invalid() {
    rdzv_params *params = nullptr;
    CHECK_OK(rdzv_create_params("dummy_backend", fixture_endpoint(), "", 1, 1, &params));
    CHECK_OK(rdzv_params_set(params, "api", fixture_api()));
    check_refused(params, RDZV_STATUS_INVALID_ARGUMENT, "The run id must be a non-empty string.");
    rdzv_free_params(params);
    for (const char *run_id : {"/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/./b"}) {
        params = fixture_params(run_id);
        rdzv_backend *backend = nullptr;
        rdzv_store *store = nullptr;
        CHECK_STATUS(rdzv_create_backend(params, &backend, &store), RDZV_STATUS_INVALID_ARGUMENT);
        CHECK_CONTAINS(rdzv_last_error_message(), "the run id ");
        rdzv_free_params(params);
    }
}

}  // namespace

int main() {
    fixture_start();
    returns_backend_whatever_is_left_out();
    handles_outlive_their_parameters();
    raises_error_if_etcd_is_unreachable();
    raises_error_if_nothing_there_is_etcd();
    takes_the_first_endpoint_that_answers();
    raises_error_if_protocol_is_invalid();
    raises_error_if_read_timeout_is_invalid();
    raises_error_if_run_id_is_invalid();
    fixture_stop();
    return 0;
}
