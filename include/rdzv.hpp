// librdzv from C++17: handles that free themselves, exceptions for failures, std::optional for
// absence.
//
// Header-only, over rdzv.h, whose opening comment holds the conventions: what may be called from
// which thread, what a timeout of zero means (now or never), how a handle lives through fork().
// What a call does is told there, at the C function of the same name; here is only what differs.
//
//   rdzv::Params params("etcd-v2", "localhost:2379", "my_run", 1, 4);
//   auto [backend, store] = rdzv::create_backend(params);
//   store.set("address", "10.0.0.7:29500");
//   if (auto state = backend.get_state()) use(state->value, state->token);
//
//   rdzv::Handler handler(params);
//   auto [rank, world_size, round, round_store] = handler.next_rendezvous();
//
// Every handle can be moved and not copied. One that was moved from is empty: it may be assigned to
// or destroyed, and any other call on it throws rdzv::Error with RDZV_STATUS_NULL_ARGUMENT.
// Destroying a handle never throws.
#ifndef RDZV_HPP
#define RDZV_HPP

#include <rdzv.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rdzv {

/// What a call came to: RDZV_STATUS_OK, RDZV_STATUS_TIMEOUT and so on.
using Status = ::rdzv_status;

/// A value, as it comes out.
using Bytes = std::vector<std::uint8_t>;

/// A call failed. what() is the message followed by the cause.
class Error : public std::runtime_error {
  public:
    Error(Status status, std::string message, std::string cause = {})
        : std::runtime_error(cause.empty() ? message : message + " (" + cause + ")"),
          status_(status),
          message_(std::move(message)),
          cause_(std::move(cause)) {}

    /// What to do next depends on it.
    Status status() const noexcept {
        return status_;
    }
    /// One sentence.
    const std::string &message() const noexcept {
        return message_;
    }
    /// Operation, key, endpoint and what the socket or etcd said; "" where the message stands
    /// alone.
    const std::string &cause() const noexcept {
        return cause_;
    }

  private:
    Status status_;
    std::string message_;
    std::string cause_;
};

/// A value, as it goes in: any run of bytes, borrowed for the call.
class BytesView {
  public:
    BytesView() noexcept = default;
    BytesView(const std::uint8_t *data, std::size_t size) noexcept : data_(data), size_(size) {}
    BytesView(const Bytes &bytes) noexcept : BytesView(bytes.data(), bytes.size()) {}
    BytesView(std::string_view text) noexcept
        : BytesView(reinterpret_cast<const std::uint8_t *>(text.data()), text.size()) {}
    BytesView(const std::string &text) noexcept : BytesView(std::string_view(text)) {}
    BytesView(const char *text) noexcept : BytesView(std::string_view(text)) {}

    const std::uint8_t *data() const noexcept {
        return data_;
    }
    std::size_t size() const noexcept {
        return size_;
    }

  private:
    const std::uint8_t *data_ = nullptr;
    std::size_t size_ = 0;
};

/// What the calls are made of; not for use.
namespace detail {

[[noreturn]] inline void fail(Status status) {
    throw Error(status, rdzv_last_error_message(), rdzv_last_error_cause());
}

inline void check(Status status) {
    if (status != RDZV_STATUS_OK) {
        fail(status);
    }
}

/// False for RDZV_STATUS_NOT_FOUND.
inline bool found(Status status) {
    if (status == RDZV_STATUS_NOT_FOUND) {
        return false;
    }
    check(status);
    return true;
}

/// For C, which would take a text with a NUL in it for a shorter one.
inline std::string text(std::string_view view, const char *name) {
    if (view.find('\0') != std::string_view::npos) {
        throw Error(RDZV_STATUS_INVALID_ARGUMENT,
                    std::string("the argument '") + name + "' must not contain a NUL");
    }
    return std::string(view);
}

inline std::string key(std::string_view view) {
    return text(view, "key");
}

/// Keys for C, good for as long as the vector that they are from.
inline std::vector<const char *> keys(const std::vector<std::string> &from) {
    std::vector<const char *> pointers;
    pointers.reserve(from.size());
    for (const std::string &one : from) {
        if (one.find('\0') != std::string::npos) {
            text(one, "key");
        }
        pointers.push_back(one.c_str());
    }
    return pointers;
}

inline std::uint64_t milliseconds(std::chrono::milliseconds timeout) {
    if (timeout.count() < 0) {
        throw Error(RDZV_STATUS_INVALID_ARGUMENT, "a timeout must not be negative");
    }
    return static_cast<std::uint64_t>(timeout.count());
}

inline std::chrono::milliseconds duration(std::uint64_t milliseconds) {
    constexpr auto longest = static_cast<std::uint64_t>(std::chrono::milliseconds::max().count());
    return std::chrono::milliseconds(
        static_cast<std::int64_t>(milliseconds < longest ? milliseconds : longest));
}

/// Takes bytes out of the library, and frees them.
class Output {
  public:
    Output() noexcept = default;
    Output(const Output &) = delete;
    Output &operator=(const Output &) = delete;
    ~Output() {
        rdzv_bytes_free(&bytes_);
    }

    rdzv_bytes *out() noexcept {
        return &bytes_;
    }
    Bytes bytes() const {
        return Bytes(bytes_.data, bytes_.data + bytes_.len);
    }
    std::string string() const {
        return std::string(reinterpret_cast<const char *>(bytes_.data), bytes_.len);
    }

  private:
    rdzv_bytes bytes_{nullptr, 0};
};

/// Takes a list out of the library, and frees it.
class OutputList {
  public:
    OutputList() noexcept = default;
    OutputList(const OutputList &) = delete;
    OutputList &operator=(const OutputList &) = delete;
    ~OutputList() {
        rdzv_bytes_list_free(&list_);
    }

    rdzv_bytes_list *out() noexcept {
        return &list_;
    }

    /// The items, each made from its bytes by `Item`'s constructor from two iterators.
    template <typename Item>
    std::vector<Item> items() const {
        std::vector<Item> items;
        items.reserve(list_.count);
        for (std::size_t i = 0; i < list_.count; ++i) {
            const rdzv_bytes &item = list_.items[i];
            items.emplace_back(item.data, item.data + item.len);
        }
        return items;
    }

  private:
    rdzv_bytes_list list_{nullptr, 0};
};

struct Free {
    void operator()(rdzv_params *params) const noexcept {
        rdzv_free_params(params);
    }
    void operator()(rdzv_backend *backend) const noexcept {
        rdzv_free_backend(backend);
    }
    void operator()(rdzv_store *store) const noexcept {
        rdzv_free_store(store);
    }
    void operator()(rdzv_handler *handler) const noexcept {
        rdzv_free_handler(handler);
    }
    void operator()(rdzv_server_options *options) const noexcept {
        rdzv_free_server_options(options);
    }
    void operator()(rdzv_server *server) const noexcept {
        rdzv_free_server(server);
    }
};

template <typename T>
using Handle = std::unique_ptr<T, Free>;

}  // namespace detail

/// The version of the library that is running, such as "0.1.0".
inline std::string version() {
    return rdzv_version();
}

/// The name of a status without its prefix, such as "TIMEOUT".
inline std::string status_name(Status status) {
    return rdzv_status_name(static_cast<std::int32_t>(status));
}

/// The parameters of a rendezvous. Changing them must not overlap with any other call on them.
class Params {
  public:
    Params(std::string_view backend, std::string_view endpoint, std::string_view run_id,
           std::int64_t min_nodes, std::int64_t max_nodes) {
        rdzv_params *params = nullptr;
        detail::check(rdzv_create_params(
            detail::text(backend, "backend").c_str(), detail::text(endpoint, "endpoint").c_str(),
            detail::text(run_id, "run_id").c_str(), min_nodes, max_nodes, &params));
        handle_.reset(params);
    }

    /// Sets an option; the README lists them.
    Params &set(std::string_view key, std::string_view value) {
        detail::check(rdzv_params_set(handle(), detail::key(key).c_str(),
                                      detail::text(value, "value").c_str()));
        return *this;
    }

    /// Sets the options in "key1=value1,key2=value2".
    Params &set_config(std::string_view config) {
        detail::check(rdzv_params_set_config(handle(), detail::text(config, "config").c_str()));
        return *this;
    }

    /// Takes an option back to its default.
    Params &unset(std::string_view key) {
        detail::check(rdzv_params_unset(handle(), detail::key(key).c_str()));
        return *this;
    }

    /// An option as it was set; nothing where it was not.
    std::optional<std::string> get(std::string_view key) const {
        detail::Output value;
        if (!detail::found(rdzv_params_get(handle(), detail::key(key).c_str(), value.out()))) {
            return std::nullopt;
        }
        return value.string();
    }

    /// For calls of the C API; stays owned by this object.
    rdzv_params *handle() const noexcept {
        return handle_.get();
    }

  private:
    detail::Handle<rdzv_params> handle_;
};

/// A rendezvous state and its token.
struct State {
    Bytes value;
    std::uint64_t token = 0;
};

/// What is stored after an attempt to replace the state: with `has_set` the caller's own, else who
/// was there first.
struct SetState {
    Bytes value;
    std::uint64_t token = 0;
    bool has_set = false;
};

/// The state of one run. One object serves many threads at once.
class Backend {
  public:
    /// Takes over what rdzv_create_backend() gave.
    explicit Backend(rdzv_backend *backend) noexcept : handle_(backend) {}

    /// "etcd-v2" or "etcd-v3".
    std::string name() const {
        return rdzv_backend_name(handle());
    }

    /// The state; nothing where there is none.
    std::optional<State> get_state() const {
        detail::Output value;
        State state;
        if (!detail::found(rdzv_get_state(handle(), value.out(), &state.token))) {
            return std::nullopt;
        }
        state.value = value.bytes();
        return state;
    }

    /// Replaces the state if `token` is current, or with 0 creates it if there is none. Nothing
    /// where `token` is not 0 and the state has vanished.
    std::optional<SetState> set_state(BytesView state, std::uint64_t token = 0) const {
        detail::Output value;
        SetState result;
        if (!detail::found(rdzv_set_state(handle(), state.data(), state.size(), token, value.out(),
                                          &result.token, &result.has_set))) {
            return std::nullopt;
        }
        result.value = value.bytes();
        return result;
    }

    /// Ends the calls blocked on this object and all later ones with RDZV_STATUS_CANCELLED. For
    /// good.
    void cancel() const noexcept {
        rdzv_backend_cancel(handle());
    }

    /// For calls of the C API; stays owned by this object.
    rdzv_backend *handle() const noexcept {
        return handle_.get();
    }

  private:
    detail::Handle<rdzv_backend> handle_;
};

/// The key/value store. One object serves many threads at once, and a thread that waits blocks no
/// other.
class Store {
  public:
    /// Takes over what rdzv_create_backend(), rdzv_store_clone() or rdzv_store_with_prefix() gave.
    explicit Store(rdzv_store *store) noexcept : handle_(store) {}

    void set(std::string_view key, BytesView value) const {
        detail::check(
            rdzv_store_set(handle(), detail::key(key).c_str(), value.data(), value.size()));
    }

    /// Waits for the key, for at most timeout(), and reads it.
    Bytes get(std::string_view key) const {
        detail::Output value;
        detail::check(rdzv_store_get(handle(), detail::key(key).c_str(), value.out()));
        return value.bytes();
    }

    /// Adds and returns the sum; adding 0 only reads.
    std::int64_t add(std::string_view key, std::int64_t amount) const {
        std::int64_t sum = 0;
        detail::check(rdzv_store_add(handle(), detail::key(key).c_str(), amount, &sum));
        return sum;
    }

    /// Returns what the key holds then.
    Bytes compare_set(std::string_view key, BytesView expected, BytesView desired) const {
        detail::Output value;
        detail::check(rdzv_store_compare_set(handle(), detail::key(key).c_str(), expected.data(),
                                             expected.size(), desired.data(), desired.size(),
                                             value.out()));
        return value.bytes();
    }

    void append(std::string_view key, BytesView value) const {
        detail::check(
            rdzv_store_append(handle(), detail::key(key).c_str(), value.data(), value.size()));
    }

    /// Whether there was such a key.
    bool delete_key(std::string_view key) const {
        bool deleted = false;
        detail::check(rdzv_store_delete_key(handle(), detail::key(key).c_str(), &deleted));
        return deleted;
    }

    /// Waits for all keys, for at most timeout().
    void wait(const std::vector<std::string> &keys) const {
        wait_ms(keys, RDZV_STORE_TIMEOUT);
    }

    void wait(const std::vector<std::string> &keys, std::chrono::milliseconds timeout) const {
        wait_ms(keys, detail::milliseconds(timeout));
    }

    /// Whether all keys are there, without waiting.
    bool check(const std::vector<std::string> &keys) const {
        bool present = false;
        const std::vector<const char *> pointers = detail::keys(keys);
        detail::check(rdzv_store_check(handle(), pointers.data(), pointers.size(), &present));
        return present;
    }

    /// Waits for all keys, for at most timeout(), and reads them, in the order given.
    std::vector<Bytes> multi_get(const std::vector<std::string> &keys) const {
        detail::OutputList values;
        const std::vector<const char *> pointers = detail::keys(keys);
        detail::check(
            rdzv_store_multi_get(handle(), pointers.data(), pointers.size(), values.out()));
        return values.items<Bytes>();
    }

    /// Sets each key to the value at its place; there must be as many of both.
    void multi_set(const std::vector<std::string> &keys, const std::vector<Bytes> &values) const {
        if (keys.size() != values.size()) {
            throw Error(RDZV_STATUS_INVALID_ARGUMENT, "there must be as many values as keys");
        }
        const std::vector<const char *> pointers = detail::keys(keys);
        std::vector<rdzv_bytes> borrowed;
        borrowed.reserve(values.size());
        for (const Bytes &value : values) {
            // An rdzv_bytes that goes in is not written to.
            borrowed.push_back({const_cast<std::uint8_t *>(value.data()), value.size()});
        }
        detail::check(
            rdzv_store_multi_set(handle(), pointers.data(), borrowed.data(), borrowed.size()));
    }

    std::uint64_t num_keys() const {
        std::uint64_t count = 0;
        detail::check(rdzv_store_num_keys(handle(), &count));
        return count;
    }

    std::vector<std::string> list_keys() const {
        detail::OutputList keys;
        detail::check(rdzv_store_list_keys(handle(), keys.out()));
        return keys.items<std::string>();
    }

    void queue_push(std::string_view key, BytesView value) const {
        detail::check(
            rdzv_store_queue_push(handle(), detail::key(key).c_str(), value.data(), value.size()));
    }

    /// Takes the first value of the queue, waiting for one for at most timeout().
    Bytes queue_pop(std::string_view key) const {
        detail::Output value;
        detail::check(rdzv_store_queue_pop(handle(), detail::key(key).c_str(), true, value.out()));
        return value.bytes();
    }

    /// Takes the first value of the queue; nothing where it is empty.
    std::optional<Bytes> try_queue_pop(std::string_view key) const {
        detail::Output value;
        if (!detail::found(
                rdzv_store_queue_pop(handle(), detail::key(key).c_str(), false, value.out()))) {
            return std::nullopt;
        }
        return value.bytes();
    }

    std::uint64_t queue_len(std::string_view key) const {
        std::uint64_t len = 0;
        detail::check(rdzv_store_queue_len(handle(), detail::key(key).c_str(), &len));
        return len;
    }

    /// Waits until `world_size` callers are there, for at most timeout().
    void barrier(std::string_view key, std::uint64_t world_size) const {
        detail::check(
            rdzv_store_barrier(handle(), detail::key(key).c_str(), world_size, RDZV_STORE_TIMEOUT));
    }

    void barrier(std::string_view key, std::uint64_t world_size,
                 std::chrono::milliseconds timeout) const {
        detail::check(rdzv_store_barrier(handle(), detail::key(key).c_str(), world_size,
                                         detail::milliseconds(timeout)));
    }

    void set_timeout(std::chrono::milliseconds timeout) const {
        detail::check(rdzv_store_set_timeout(handle(), detail::milliseconds(timeout)));
    }

    std::chrono::milliseconds timeout() const {
        std::uint64_t timeout_ms = 0;
        detail::check(rdzv_store_timeout(handle(), &timeout_ms));
        return detail::duration(timeout_ms);
    }

    /// Another handle on the same store, with a timeout and a cancellation of its own.
    Store clone() const {
        rdzv_store *store = nullptr;
        detail::check(rdzv_store_clone(handle(), &store));
        return Store(store);
    }

    /// A clone whose keys all have `prefix` and a "/" put before them.
    Store with_prefix(std::string_view prefix) const {
        rdzv_store *store = nullptr;
        detail::check(
            rdzv_store_with_prefix(handle(), detail::text(prefix, "prefix").c_str(), &store));
        return Store(store);
    }

    /// Ends the calls blocked on this object and all later ones with RDZV_STATUS_CANCELLED. For
    /// good.
    void cancel() const noexcept {
        rdzv_store_cancel(handle());
    }

    /// For calls of the C API; stays owned by this object.
    rdzv_store *handle() const noexcept {
        return handle_.get();
    }

  private:
    void wait_ms(const std::vector<std::string> &keys, std::uint64_t timeout_ms) const {
        const std::vector<const char *> pointers = detail::keys(keys);
        detail::check(rdzv_store_wait(handle(), pointers.data(), pointers.size(), timeout_ms));
    }

    detail::Handle<rdzv_store> handle_;
};

/// What create_backend() gives; each can be moved out, and they are destroyed in any order.
struct BackendAndStore {
    Backend backend;
    Store store;
};

/// Connects to etcd, and creates the backend of the run id in `params` and its store.
inline BackendAndStore create_backend(const Params &params) {
    rdzv_backend *backend = nullptr;
    rdzv_store *store = nullptr;
    detail::check(rdzv_create_backend(params.handle(), &backend, &store));
    return {Backend(backend), Store(store)};
}

}  // namespace rdzv

#include <rdzv/handler.hpp>
#include <rdzv/log.hpp>
#include <rdzv/server.hpp>

#endif
