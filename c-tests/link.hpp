// What the C++ tests hold the C handles and bytes with.
#ifndef RDZV_TESTS_LINK_HPP
#define RDZV_TESTS_LINK_HPP

#include <chrono>
#include <string>
#include <vector>

#include "etcd_fixture.h"

// The rdzv_bytes of a Bytes hold exactly this text.
#define CHECK_TEXT(actual, text) check_text((actual), (text), __FILE__, __LINE__, #actual)

// Bytes that the library gives. out() frees what was there before.
class Bytes {
  public:
    Bytes() = default;
    Bytes(const Bytes &) = delete;
    Bytes &operator=(const Bytes &) = delete;
    ~Bytes() {
        rdzv_bytes_free(&raw_);
    }

    rdzv_bytes *out() {
        rdzv_bytes_free(&raw_);
        return &raw_;
    }
    const rdzv_bytes &raw() const {
        return raw_;
    }
    std::string text() const {
        return std::string(reinterpret_cast<const char *>(raw_.data), raw_.len);
    }

  private:
    rdzv_bytes raw_{nullptr, 0};
};

inline void check_text(const Bytes &actual, const std::string &text, const char *file, int line,
                       const char *what) {
    check_bytes(&actual.raw(), text.data(), text.size(), file, line, what);
}

// A list that the library gives.
class List {
  public:
    List() = default;
    List(const List &) = delete;
    List &operator=(const List &) = delete;
    ~List() {
        rdzv_bytes_list_free(&raw_);
    }

    rdzv_bytes_list *out() {
        rdzv_bytes_list_free(&raw_);
        return &raw_;
    }
    std::vector<std::string> texts() const {
        std::vector<std::string> texts;
        for (size_t index = 0; index < raw_.count; index++) {
            texts.emplace_back(reinterpret_cast<const char *>(raw_.items[index].data),
                               raw_.items[index].len);
        }
        return texts;
    }

  private:
    rdzv_bytes_list raw_{nullptr, 0};
};

// The data of a text as the C ABI takes bytes; for calls as f(…, DATA(text), …).
#define DATA(text) reinterpret_cast<const uint8_t *>((text).data()), (text).size()

// A backend and a store on the fixture's etcd.
struct Link {
    rdzv_backend *backend = nullptr;
    rdzv_store *store = nullptr;

    explicit Link(const char *run_id = "dummy_run") {
        fixture_connect_run(run_id, &backend, &store);
    }
    explicit Link(const rdzv_params *params) {
        CHECK_OK(rdzv_create_backend(params, &backend, &store));
    }
    Link(const Link &) = delete;
    Link &operator=(const Link &) = delete;
    ~Link() {
        rdzv_free_backend(backend);
        rdzv_free_store(store);
    }

    bool is_v2() const {
        return std::string(rdzv_backend_name(backend)) == "etcd-v2";
    }
};

inline rdzv_status set(const rdzv_store *store, const std::string &key, const std::string &value) {
    return rdzv_store_set(store, key.c_str(), DATA(value));
}

// The keys as the calls with many keys take them. Must not outlive `keys`.
inline std::vector<const char *> pointers(const std::vector<std::string> &keys) {
    std::vector<const char *> pointers;
    for (const std::string &key : keys) {
        pointers.push_back(key.c_str());
    }
    return pointers;
}

inline rdzv_status wait(const rdzv_store *store, const std::vector<std::string> &keys,
                        uint64_t timeout_ms) {
    return rdzv_store_wait(store, pointers(keys).data(), keys.size(), timeout_ms);
}

inline rdzv_status check(const rdzv_store *store, const std::vector<std::string> &keys,
                         bool *present) {
    return rdzv_store_check(store, pointers(keys).data(), keys.size(), present);
}

// Milliseconds since it was made.
class Clock {
  public:
    double ms() const {
        return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_)
            .count();
    }

  private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

#endif
