// A peer that a Python test drives: it does on rdzv::C10dStore, or with --c on the C API, what
// comes in line by line, and answers each line with one.
//
//   peer [--c] <endpoint> <api> <run id>
//
//   set KEY VALUE     get KEY          add KEY NUMBER [TIMES]     check KEY…     wait MILLISECONDS
//   KEY… delete KEY        append KEY VALUE compare KEY EXPECTED DESIRED get_state set_state VALUE
//   TOKEN
//
// Keys and values are hexadecimal, with a dot before them so that none is empty. The answer begins
// with "ok" or with the name of what went wrong.
#include <iostream>
#include <rdzv/c10d_store.hpp>
#include <sstream>

#undef CHECK  // glog, which libtorch includes, has one of that name
#include "check.h"

namespace {

std::string decoded(const std::string& text) {
    std::string bytes;
    for (std::size_t i = 1; i + 1 < text.size(); i += 2) {
        bytes.push_back(static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16)));
    }
    return bytes;
}

std::vector<std::uint8_t> decoded_bytes(const std::string& text) {
    const std::string bytes = decoded(text);
    return {bytes.begin(), bytes.end()};
}

std::string encoded(const std::uint8_t* data, std::size_t size) {
    static const char digits[] = "0123456789abcdef";
    std::string text = ".";
    for (std::size_t i = 0; i < size; ++i) {
        text.push_back(digits[data[i] >> 4]);
        text.push_back(digits[data[i] & 15]);
    }
    return text;
}

std::string encoded(const std::vector<std::uint8_t>& bytes) {
    return encoded(bytes.data(), bytes.size());
}

std::vector<std::string> rest(std::istream& words) {
    std::vector<std::string> keys;
    for (std::string word; words >> word;) {
        keys.push_back(decoded(word));
    }
    return keys;
}

// The calls of the C API, in the shape of C10dStore's; what fails throws the name of the status.
class CStore {
  public:
    explicit CStore(rdzv_store* store) : store_(store) {}

    void set(const std::string& key, const std::vector<std::uint8_t>& value) {
        check(rdzv_store_set(store_, key.c_str(), value.data(), value.size()));
    }
    std::vector<std::uint8_t> get(const std::string& key) {
        rdzv_bytes value = {nullptr, 0};
        check(rdzv_store_get(store_, key.c_str(), &value));
        return taken(value);
    }
    std::int64_t add(const std::string& key, std::int64_t amount) {
        std::int64_t sum = 0;
        check(rdzv_store_add(store_, key.c_str(), amount, &sum));
        return sum;
    }
    bool check(const std::vector<std::string>& keys) {
        bool present = false;
        const auto pointers = pointers_of(keys);
        check(rdzv_store_check(store_, pointers.data(), pointers.size(), &present));
        return present;
    }
    void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) {
        const auto pointers = pointers_of(keys);
        check(rdzv_store_wait(store_, pointers.data(), pointers.size(),
                              static_cast<std::uint64_t>(timeout.count())));
    }
    bool deleteKey(const std::string& key) {
        bool deleted = false;
        check(rdzv_store_delete_key(store_, key.c_str(), &deleted));
        return deleted;
    }
    void append(const std::string& key, const std::vector<std::uint8_t>& value) {
        check(rdzv_store_append(store_, key.c_str(), value.data(), value.size()));
    }
    std::vector<std::uint8_t> compareSet(const std::string& key,
                                         const std::vector<std::uint8_t>& expected,
                                         const std::vector<std::uint8_t>& desired) {
        rdzv_bytes value = {nullptr, 0};
        check(rdzv_store_compare_set(store_, key.c_str(), expected.data(), expected.size(),
                                     desired.data(), desired.size(), &value));
        return taken(value);
    }

  private:
    static void check(rdzv_status status) {
        if (status != RDZV_STATUS_OK) {
            throw std::runtime_error(rdzv_status_name(status));
        }
    }
    static std::vector<std::uint8_t> taken(rdzv_bytes& value) {
        std::vector<std::uint8_t> bytes(value.data, value.data + value.len);
        rdzv_bytes_free(&value);
        return bytes;
    }
    static std::vector<const char*> pointers_of(const std::vector<std::string>& keys) {
        std::vector<const char*> pointers;
        for (const std::string& key : keys) {
            pointers.push_back(key.c_str());
        }
        return pointers;
    }

    rdzv_store* store_;
};

#if TORCH_VERSION_MAJOR == 1 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR < 1)
// Which these versions lack.
void append(rdzv::C10dStore& store, const std::string& key,
            const std::vector<std::uint8_t>& value) {
    store.store().append(key, value);
}
#else
void append(rdzv::C10dStore& store, const std::string& key,
            const std::vector<std::uint8_t>& value) {
    store.append(key, value);
}
#endif
void append(CStore& store, const std::string& key, const std::vector<std::uint8_t>& value) {
    store.append(key, value);
}

template <typename Store>
std::string on_store(Store& store, const std::string& what, std::istream& words) {
    std::string key, value, other;
    if (what == "check") {
        return store.check(rest(words)) ? "true" : "false";
    }
    if (what == "wait") {
        std::int64_t timeout_ms = 0;
        words >> timeout_ms;
        store.wait(rest(words), std::chrono::milliseconds(timeout_ms));
        return "";
    }
    words >> key;
    key = decoded(key);
    if (what == "set") {
        words >> value;
        store.set(key, decoded_bytes(value));
        return "";
    }
    if (what == "get") {
        return encoded(store.get(key));
    }
    if (what == "add") {
        std::int64_t amount = 0, times = 1;
        words >> amount >> times;
        std::string sums;
        for (; times > 0; --times) {
            sums += std::to_string(store.add(key, amount)) + " ";
        }
        return sums;
    }
    if (what == "delete") {
        return store.deleteKey(key) ? "true" : "false";
    }
    if (what == "append") {
        words >> value;
        append(store, key, decoded_bytes(value));
        return "";
    }
    CHECK(what == "compare");
    words >> value >> other;
    return encoded(store.compareSet(key, decoded_bytes(value), decoded_bytes(other)));
}

// The state, always by the C API.
std::string on_backend(const rdzv_backend* backend, const std::string& what, std::istream& words) {
    rdzv_bytes state = {nullptr, 0};
    std::uint64_t token = 0;
    bool has_set = false;
    rdzv_status status;
    if (what == "get_state") {
        status = rdzv_get_state(backend, &state, &token);
    } else {
        std::string value;
        words >> value >> token;
        const auto bytes = decoded_bytes(value);
        status =
            rdzv_set_state(backend, bytes.data(), bytes.size(), token, &state, &token, &has_set);
    }
    if (status != RDZV_STATUS_OK) {
        throw std::runtime_error(rdzv_status_name(status));
    }
    const std::string text = encoded(state.data, state.len);
    rdzv_bytes_free(&state);
    return text + " " + std::to_string(token) + " " + (has_set ? "true" : "false");
}

}  // namespace

int main(int argc, char** argv) {
    const bool plain_c = argc > 1 && std::string(argv[1]) == "--c";
    argv += plain_c ? 1 : 0;
    CHECK(argc == (plain_c ? 5 : 4));
    rdzv::Params params("etcd-v2", argv[1], argv[3], 1, 4);
    params.set("api", argv[2]).set("store_timeout", "60");
    auto [backend, store] = rdzv::create_backend(params);
    CStore c_store(store.handle());
    rdzv::C10dStore c10d_store(store.clone());
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string what, answer;
        words >> what;
        try {
            if (what == "get_state" || what == "set_state") {
                answer = on_backend(backend.handle(), what, words);
            } else {
                answer =
                    plain_c ? on_store(c_store, what, words) : on_store(c10d_store, what, words);
            }
            answer = "ok " + answer;
        } catch (const c10d::TimeoutError&) {
            answer = "TIMEOUT";
        } catch (const std::exception& error) {
            answer = error.what();
        }
        std::cout << answer << std::endl;
    }
}
