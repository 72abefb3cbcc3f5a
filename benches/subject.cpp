#include "subject.hpp"

#include <filesystem>

Etcd::Etcd(const std::string& binary, const std::string& folder, bool v2) {
    rdzv_server_options* options = nullptr;
    MUST(rdzv_create_server_options(&options));
    if (!binary.empty()) MUST(rdzv_server_options_set(options, "binary", binary.c_str()));
    if (!folder.empty()) {
        std::string name = folder + "/rdzv-bench-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) {
            std::perror(folder.c_str());
            std::exit(1);
        }
        data_ = name;
        MUST(rdzv_server_options_set(options, "data_dir", data_.c_str()));
    }
    MUST(rdzv_server_options_set(options, "enable_v2", v2 ? "true" : "false"));
    MUST(rdzv_start_server(options, &server_));
    rdzv_free_server_options(options);
}

Etcd::~Etcd() {
    rdzv_stop_server(server_);
    rdzv_free_server(server_);
    std::error_code ignored;
    if (!data_.empty()) std::filesystem::remove_all(data_, ignored);
}

Client::Client(const std::string& endpoint, bool v2, const std::string& run_id) {
    rdzv_params* params = nullptr;
    MUST(rdzv_create_params("etcd", endpoint.c_str(), run_id.c_str(), 1, 1 << 20, &params));
    MUST(rdzv_params_set(params, "api", v2 ? "v2" : "v3"));
    MUST(rdzv_create_backend(params, &backend_, &store_));
    rdzv_free_params(params);
}

Client::~Client() {
    rdzv_free_store(store_);
    rdzv_free_backend(backend_);
}

void Client::compare_set(const char* key, std::string_view expected,
                         std::string_view desired) const {
    rdzv_bytes now = {};
    MUST(rdzv_store_compare_set(store_, key, data_of(expected), expected.size(), data_of(desired),
                                desired.size(), &now));
    if (std::string_view(reinterpret_cast<const char*>(now.data), now.len) != desired) {
        std::fprintf(stderr, "compare_set of %s has not set it\n", key);
        std::exit(1);
    }
    rdzv_bytes_free(&now);
}

void Client::check(const std::vector<const char*>& keys) const {
    bool present = false;
    MUST(rdzv_store_check(store_, keys.data(), keys.size(), &present));
    if (!present) {
        std::fprintf(stderr, "a key is missing\n");
        std::exit(1);
    }
}

void Client::multi_get(const std::vector<const char*>& keys) const {
    rdzv_bytes_list values = {};
    MUST(rdzv_store_multi_get(store_, keys.data(), keys.size(), &values));
    rdzv_bytes_list_free(&values);
}

uint64_t Client::get_state() const {
    rdzv_bytes state = {};
    uint64_t token = 0;
    MUST(rdzv_get_state(backend_, &state, &token));
    rdzv_bytes_free(&state);
    return token;
}

uint64_t Client::set_state(std::string_view state, uint64_t token) const {
    rdzv_bytes now = {};
    uint64_t new_token = 0;
    bool has_set = false;
    MUST(rdzv_set_state(backend_, data_of(state), state.size(), token, &now, &new_token, &has_set));
    rdzv_bytes_free(&now);
    if (!has_set) {
        std::fprintf(stderr, "set_state has not set\n");
        std::exit(1);
    }
    return new_token;
}
