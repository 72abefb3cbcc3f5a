// Parameters, the configuration string and the endpoint grammar, as the C ABI shows them, in
// PyTorch's words. No etcd.
#include "link.hpp"

namespace {

const std::string kPort = "The port number of the rendezvous endpoint '";
const std::string kHost = "The hostname of the rendezvous endpoint '";

std::string port_sentence(const std::string &endpoint) {
    return kPort + endpoint + "' must be an integer between 0 and 65536.";
}

std::string host_sentence(const std::string &endpoint) {
    return kHost + endpoint +
           "' must be a dot-separated list of labels, an IPv4 address, or an IPv6 address.";
}

std::string option_sentence(const std::string &name, const std::string &rest) {
    return "The rendezvous configuration option '" + name + "' " + rest;
}

rdzv_params *make(const char *endpoint = "127.0.0.1:1", const char *run_id = "run") {
    rdzv_params *params = nullptr;
    CHECK_OK(rdzv_create_params("etcd", endpoint, run_id, 1, 1, &params));
    return params;
}

// What creating a backend says of the parameters, where that is decided without a connection. Frees
// them.
std::string refusal(rdzv_params *params) {
    rdzv_backend *backend = nullptr;
    rdzv_store *store = nullptr;
    CHECK_STATUS(rdzv_create_backend(params, &backend, &store), RDZV_STATUS_INVALID_ARGUMENT);
    CHECK_STR(rdzv_last_error_cause(), "");
    CHECK(backend == nullptr && store == nullptr);
    rdzv_free_params(params);
    return rdzv_last_error_message();
}

void numbers_and_names() {
    const std::string max = "The maximum number of rendezvous nodes (",
                      min = "The minimum number of rendezvous nodes (";
    const struct {
        const char *backend;
        int64_t min_nodes, max_nodes;
        std::string sentence;  // empty: accepted
    } rows[] = {
        {"dummy_backend", 1, 1, ""},
        {"b", 1, INT64_MAX, ""},
        {" ", INT64_MAX, INT64_MAX, ""},
        {"", 1, 1, "The rendezvous backend name must be a non-empty string."},
        {"", 0, -1, "The rendezvous backend name must be a non-empty string."},
        {"b", 0, 1, min + "0) must be greater than zero."},
        {"b", -1, 1, min + "-1) must be greater than zero."},
        {"b", INT64_MIN, INT64_MIN, min + "-9223372036854775808) must be greater than zero."},
        {"b", 2, 1,
         max + "1) must be greater than or equal to the minimum number of rendezvous nodes (2)."},
        {"b", 1, 0,
         max + "0) must be greater than or equal to the minimum number of rendezvous nodes (1)."},
    };
    for (const auto &row : rows) {
        rdzv_params *params = nullptr;
        const rdzv_status status = rdzv_create_params(row.backend, "endpoint", "run", row.min_nodes,
                                                      row.max_nodes, &params);
        if (row.sentence.empty()) {
            CHECK_STATUS(status, RDZV_STATUS_OK);
        } else {
            CHECK_STATUS(status, RDZV_STATUS_INVALID_ARGUMENT);
            CHECK_STR(rdzv_last_error_message(), row.sentence.c_str());
            CHECK(params == nullptr);
        }
        rdzv_free_params(params);
    }
}

// An endpoint is looked at before the options: where it is good, the option that is not is what is
// told.
void endpoints() {
    const char *good[] = {"",
                          " ",
                          "\t\n",
                          "localhost",
                          "dummy.com",
                          "dummy-1.com:123",
                          "h:0",
                          "h:65535",
                          "h:00080",
                          " h:1 ",
                          "etcd_0",
                          "127.0.0.1",
                          "[::1]",
                          "[::1]:80",
                          "::1",
                          "::1:80",
                          "[h]:80",
                          "h1:1,h2:2",
                          "h1, h2",
                          "b\xc3\xbc"
                          "cher.example:1",
                          "[::1]:1,h,127.0.0.1:3"};
    for (const char *endpoint : good) {
        rdzv_params *params = make(endpoint);
        CHECK_OK(rdzv_params_set(params, "read_timeout", "0"));
        CHECK_STR(refusal(params).c_str(), "The read timeout must be a positive integer.");
    }
    rdzv_params *params = make(nullptr);
    CHECK_OK(rdzv_params_set(params, "read_timeout", "0"));
    CHECK_STR(refusal(params).c_str(), "The read timeout must be a positive integer.");

    for (const char *endpoint : {"h:", "h:-1", "h:+1", "h:abc", "h:65536", "h:70000", "h:000080",
                                 "host:2379/", "h: 1", "[::1]:", ":", "h:1_0"}) {
        CHECK_STR(refusal(make(endpoint)).c_str(), port_sentence(endpoint).c_str());
    }
    for (const char *endpoint : {"~", ":123", "h x:1", "http://h:2379", "[", "[]", "[::1",
                                 "[fe80::1%eth0]", "a:b:80", "h/x", "h?x:1", "h1,", "h1,,h2"}) {
        CHECK_STR(refusal(make(endpoint)).c_str(), host_sentence(endpoint).c_str());
    }
    CHECK_STR(refusal(make(" h: ")).c_str(), port_sentence("h:").c_str());
    CHECK_STR(refusal(make("h1:1, h2:x ,h3:3")).c_str(), port_sentence("h2:x").c_str());
    CHECK_STR(refusal(make("h1:1,~")).c_str(), host_sentence("~").c_str());
}

void options() {
    const std::string integer = "does not represent a valid integer value.";
    const std::string range0 = "must be between 0 and 3155760000 seconds (100 years).";
    const std::string range1 = "must be between 1 and 3155760000 seconds (100 years).";
    const std::string path = " with no empty, '.' or '..' segment.";
    const struct {
        const char *key, *value;
        std::string sentence;
    } rows[] = {
        {"protocol", "dummy", "The protocol must be HTTP or HTTPS."},
        {"protocol", "", "The protocol must be HTTP or HTTPS."},
        {"read_timeout", "0", "The read timeout must be a positive integer."},
        {"read_timeout", "-10", "The read timeout must be a positive integer."},
        {"read_timeout", "x", option_sentence("read_timeout", integer)},
        {"read_timeout", "", option_sentence("read_timeout", integer)},
        {"read_timeout", "1.5", option_sentence("read_timeout", integer)},
        {"read_timeout", "0x10", option_sentence("read_timeout", integer)},
        {"connect_timeout", "0", option_sentence("connect_timeout", range1)},
        {"reconnect_timeout", "-1", option_sentence("reconnect_timeout", range0)},
        {"ttl", "0", option_sentence("ttl", range1)},
        {"ttl", "99999999999999999999", option_sentence("ttl", range1)},
        {"store_ttl", "0", option_sentence("store_ttl", range1)},
        {"store_timeout", "x", option_sentence("store_timeout", integer)},
        {"api", "v4", option_sentence("api", "must be one of auto, v2, v3.")},
        {"consistency", "no",
         option_sentence("consistency", "must be one of linearizable, local.")},
        {"username", "u",
         "The rendezvous configuration options 'username' and 'password' must be given together."},
        {"password", "p",
         "The rendezvous configuration options 'username' and 'password' must be given together."},
        {"key_prefix", "a",
         option_sentence("key_prefix", "must be a path like /torch/elastic/rendezvous" + path)},
        {"key_prefix", "/a//b",
         option_sentence("key_prefix", "must be a path like /torch/elastic/rendezvous" + path)},
        {"store_prefix", "/..",
         option_sentence("store_prefix", "must be a path like /torch/elastic/store" + path)},
        {"store_prefix", "/torch/elastic/rendezvous",
         "The rendezvous configuration options 'key_prefix' and 'store_prefix' must differ."},
    };
    for (const auto &row : rows) {
        rdzv_params *params = make();
        CHECK_OK(rdzv_params_set(params, row.key, row.value));
        CHECK_STR(refusal(params).c_str(), row.sentence.c_str());
    }
    CHECK_STR(refusal(make("127.0.0.1:1", "")).c_str(), "The run id must be a non-empty string.");
    // Good values, in every notation of Python's int(): only the last option is refused.
    const char *good[][2] = {{"protocol", " HTtp "},
                             {"read_timeout", " 7 "},
                             {"read_timeout", "1_000"},
                             {"read_timeout", "+5"},
                             {"api", " V2"},
                             {"consistency", "LOCAL"},
                             {"reconnect_timeout", "0"},
                             {"store_timeout", "0"},
                             {"unknown", "anything"},
                             {"ca_cert", ""},
                             {"key_prefix", "/a/b/"},
                             {"ssl_cert_key", "nowhere"}};
    for (const auto &pair : good) {
        rdzv_params *params = make();
        CHECK_OK(rdzv_params_set(params, pair[0], pair[1]));
        CHECK_OK(rdzv_params_set(params, "ttl", "0"));
        CHECK_STR(refusal(params).c_str(), option_sentence("ttl", range1).c_str());
    }
}

void check_option(const rdzv_params *params, const char *key, const char *expected) {
    Bytes value;
    const rdzv_status status = rdzv_params_get(params, key, value.out());
    if (expected == nullptr) {
        CHECK_STATUS(status, RDZV_STATUS_NOT_FOUND);
    } else {
        CHECK_STATUS(status, RDZV_STATUS_OK);
        CHECK_TEXT(value, expected);
    }
}

void set_get_unset() {
    rdzv_params *params = make();
    check_option(params, "protocol", nullptr);
    CHECK_OK(rdzv_params_set(params, "protocol", "hTTp"));
    CHECK_OK(rdzv_params_set(params, "other", ""));
    CHECK_OK(rdzv_params_set(params, "k\xc3\xb6", "v\xc3\xb6"));
    check_option(params, "protocol", "hTTp");
    check_option(params, "other", "");
    check_option(params, "k\xc3\xb6", "v\xc3\xb6");
    CHECK_OK(rdzv_params_set(params, "protocol", "https"));
    check_option(params, "protocol", "https");
    CHECK_OK(rdzv_params_unset(params, "protocol"));
    CHECK_OK(rdzv_params_unset(params, "protocol"));
    check_option(params, "protocol", nullptr);
    CHECK_STATUS(rdzv_params_set(params, "", "v"), RDZV_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(rdzv_params_set(params, "k\xff", "v"), RDZV_STATUS_INVALID_ARGUMENT);
    CHECK_CONTAINS(rdzv_last_error_message(), "'key'");
    CHECK_STATUS(rdzv_params_set(params, "other", "\xff"), RDZV_STATUS_INVALID_ARGUMENT);
    CHECK_CONTAINS(rdzv_last_error_message(), "'value'");
    check_option(params, "other", "");
    rdzv_free_params(params);
}

void config_strings() {
    const char format[] =
        "The rendezvous configuration string must be in format "
        "<key1>=<value1>,...,<keyN>=<valueN>.";
    rdzv_params *params = make();
    CHECK_OK(rdzv_params_set(params, "a", "0"));
    for (const char *config : {"a=1,", ",", "=", "=1", "a=1,,b=2", "a=1, = ,b=2", " , "}) {
        CHECK_STATUS(rdzv_params_set_config(params, config), RDZV_STATUS_INVALID_ARGUMENT);
        CHECK_STR(rdzv_last_error_message(), format);
    }
    for (const char *config : {"b=1,c", "c", " c = ,b=1", "c="}) {
        CHECK_STATUS(rdzv_params_set_config(params, config), RDZV_STATUS_INVALID_ARGUMENT);
        CHECK_STR(rdzv_last_error_message(),
                  option_sentence("c", "must have a value specified.").c_str());
    }
    // All or nothing.
    check_option(params, "a", "0");
    check_option(params, "b", nullptr);
    CHECK_OK(rdzv_params_set_config(params, ""));
    CHECK_OK(rdzv_params_set_config(params, "  "));
    CHECK_OK(rdzv_params_set_config(params, " b= 2  ,c=3=4,  a =1,d=5/6,a=7"));
    check_option(params, "a", "7");
    check_option(params, "b", "2");
    check_option(params, "c", "3=4");
    check_option(params, "d", "5/6");
    CHECK_OK(rdzv_params_set_config(params, "read_timeout=-10,protocol=http"));
    CHECK_STR(refusal(params).c_str(), "The read timeout must be a positive integer.");
}

// Whatever is refused, and however: a user name with a password never comes back in a message.
void secrets_are_never_told() {
    const std::string secret = "hunter2";
    const auto check_kept = [&secret] {
        CHECK(rdzv_last_error_status() != RDZV_STATUS_OK);
        CHECK(std::string(rdzv_last_error_message()).find(secret) == std::string::npos);
        CHECK(std::string(rdzv_last_error_cause()).find(secret) == std::string::npos);
    };
    for (const char *endpoint :
         {"http://me:hunter2@h:2379", "me:hunter2@h", "me:hunter2@h:x", "h1:1,me:hunter2@h2"}) {
        CHECK(!refusal(make(endpoint)).empty());
        check_kept();
    }
    rdzv_params *params = make();
    for (const char *config :
         {"password=hun,hunter2", "password=hun,hunter2=", "password=x,hunter2,a=b"}) {
        CHECK_STATUS(rdzv_params_set_config(params, config), RDZV_STATUS_INVALID_ARGUMENT);
        check_kept();
    }
    CHECK_OK(rdzv_params_set(params, "password", "hunter2"));
    CHECK(!refusal(params).empty());
    check_kept();
}

}  // namespace

int main() {
    numbers_and_names();
    endpoints();
    options();
    set_get_unset();
    config_strings();
    secrets_are_never_told();
    return 0;
}
