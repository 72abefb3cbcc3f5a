/*
 * The library as the benchmarks use it, through the C ABI: handles that free themselves, and calls
 * that end the program where they fail.
 */
#ifndef RDZV_BENCHES_SUBJECT_HPP
#define RDZV_BENCHES_SUBJECT_HPP

#include <rdzv.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

inline void must(rdzv_status status, const char* what) {
    if (status == RDZV_STATUS_OK) return;
    std::fprintf(stderr, "%s: %s: %s (%s)\n", what, rdzv_status_name(status),
                 rdzv_last_error_message(), rdzv_last_error_cause());
    std::exit(1);
}
#define MUST(call) must((call), #call)

/* An etcd of its own, whose data is in a temporary folder below `folder` ("": the system's). */
class Etcd {
  public:
    Etcd(const std::string& binary, const std::string& folder, bool v2);
    ~Etcd();
    Etcd(const Etcd&) = delete;
    Etcd& operator=(const Etcd&) = delete;

    std::string endpoint() const {
        return rdzv_server_endpoint(server_);
    }
    std::string version() const {
        return rdzv_server_version(server_);
    }

  private:
    rdzv_server* server_ = nullptr;
    std::string data_;
};

inline const uint8_t* data_of(std::string_view bytes) {
    return reinterpret_cast<const uint8_t*>(bytes.data());
}

/* A backend and its store. */
class Client {
  public:
    Client(const std::string& endpoint, bool v2, const std::string& run_id);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    rdzv_backend* backend() const {
        return backend_;
    }
    rdzv_store* store() const {
        return store_;
    }

    void set(const char* key, std::string_view value) const {
        MUST(rdzv_store_set(store_, key, data_of(value), value.size()));
    }
    size_t get(const char* key) const {
        rdzv_bytes value = {};
        MUST(rdzv_store_get(store_, key, &value));
        const size_t size = value.len;
        rdzv_bytes_free(&value);
        return size;
    }
    int64_t add(const char* key, int64_t amount) const {
        int64_t sum = 0;
        MUST(rdzv_store_add(store_, key, amount, &sum));
        return sum;
    }
    void compare_set(const char* key, std::string_view expected, std::string_view desired) const;
    void check(const std::vector<const char*>& keys) const;
    void multi_get(const std::vector<const char*>& keys) const;
    void wait(const char* key) const {
        MUST(rdzv_store_wait(store_, &key, 1, RDZV_STORE_TIMEOUT));
    }
    uint64_t get_state() const;
    uint64_t set_state(std::string_view state, uint64_t token) const;

  private:
    rdzv_backend* backend_ = nullptr;
    rdzv_store* store_ = nullptr;
};

#endif
