// A c10d::Store over etcd, for process groups of libtorch 1.13 and later.
//
//   auto [backend, store] = rdzv::create_backend(params);
//   auto c10d = c10::make_intrusive<rdzv::C10dStore>(store.with_prefix("my_run"));
//   c10d::ProcessGroupGloo group(c10d, rank, size, options);
//
// Header-only, since c10d::Store's virtual functions differ between versions: it must be compiled
// against the libtorch that runs it. libtorch 2.14 and later need C++20.
//
// What is thrown
//   timeout                      c10::DistStoreError       (before 2.2: c10d::TimeoutError)
//   etcd cannot be reached, or
//   the fate of a write unknown  c10::DistNetworkError     (before 2.2: std::runtime_error)
//   queuePop of an empty queue   c10::DistQueueEmptyError
//   an argument that is wrong    std::invalid_argument
//   anything else                c10::DistError            (before 2.2: std::runtime_error)
//
// As with TCPStore, a timeout of zero means now or never, and a negative one for ever.
#ifndef RDZV_C10D_STORE_HPP
#define RDZV_C10D_STORE_HPP

#include <torch/csrc/api/include/torch/version.h>
#include <torch/csrc/distributed/c10d/exception.h>

#include <rdzv.hpp>
#include <stdexcept>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace rdzv {

/// The store as libtorch knows it. One object serves many threads at once; no lock is held while a
/// call waits.
class C10dStore : public ::c10d::Store {
  public:
    /// Starts with the timeout of `store`. Keys are all of etcd's: give it a store with a prefix of
    /// the run's own.
    explicit C10dStore(rdzv::Store store)
        : ::c10d::Store(call([&] { return store.timeout(); })), store_(std::move(store)) {}

    using ::c10d::Store::compareSet;
    using ::c10d::Store::set;

    void set(const std::string &key, const std::vector<std::uint8_t> &value) override {
        call([&] { store_.set(key, value); });
    }

    std::vector<std::uint8_t> compareSet(const std::string &key,
                                         const std::vector<std::uint8_t> &currentValue,
                                         const std::vector<std::uint8_t> &newValue) override {
        return call([&] { return store_.compare_set(key, currentValue, newValue); });
    }

    std::vector<std::uint8_t> get(const std::string &key) override {
        return call([&] { return store_.get(key); });
    }

    /// Adding 0 only reads.
    std::int64_t add(const std::string &key, std::int64_t value) override {
        return call([&] { return store_.add(key, value); });
    }

    bool deleteKey(const std::string &key) override {
        return call([&] { return store_.delete_key(key); });
    }

    bool check(const std::vector<std::string> &keys) override {
        return call([&] { return store_.check(keys); });
    }

    std::int64_t getNumKeys() override {
        return static_cast<std::int64_t>(call([&] { return store_.num_keys(); }));
    }

    void wait(const std::vector<std::string> &keys) override {
        call([&] { store_.wait(keys); });
    }

    void wait(const std::vector<std::string> &keys,
              const std::chrono::milliseconds &timeout) override {
        call([&] { store_.wait(keys, limit(timeout)); });
    }

    const std::chrono::milliseconds &getTimeout() const noexcept override {
        return timeout_;
    }

    /// Not while another thread reads or sets it, as with libtorch's own stores; calls may be under
    /// way.
    void setTimeout(const std::chrono::milliseconds &timeout) override {
        call([&] { store_.set_timeout(limit(timeout)); });
        timeout_ = timeout;
    }

#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 201
    void append(const std::string &key, const std::vector<std::uint8_t> &value) override {
        call([&] { store_.append(key, value); });
    }

    std::vector<std::vector<std::uint8_t>> multiGet(const std::vector<std::string> &keys) override {
        return call([&] { return store_.multi_get(keys); });
    }

    void multiSet(const std::vector<std::string> &keys,
                  const std::vector<std::vector<std::uint8_t>> &values) override {
        call([&] { store_.multi_set(keys, values); });
    }

    bool hasExtendedApi() const override {
        return true;
    }
#endif

#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 208
    /// Shares the connections; has a timeout and a cancellation of its own.
    c10::intrusive_ptr<::c10d::Store> clone() override {
        auto copy = call([&] { return c10::make_intrusive<C10dStore>(store_.clone()); });
        copy->timeout_ = timeout_;
        return copy;
    }

    void queuePush(const std::string &key, const std::vector<std::uint8_t> &value) override {
        call([&] { store_.queue_push(key, value); });
    }

    std::vector<std::uint8_t> queuePop(const std::string &key, bool block) override {
        return call([&] {
            if (block) {
                return store_.queue_pop(key);
            }
            std::optional<Bytes> value = store_.try_queue_pop(key);
            if (!value) {
                throw ::c10::DistQueueEmptyError(here(), "queue is empty");
            }
            return *std::move(value);
        });
    }

    std::int64_t queueLen(const std::string &key) override {
        return static_cast<std::int64_t>(call([&] { return store_.queue_len(key); }));
    }
#endif

#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 210
    std::vector<std::string> listKeys() override {
        return call([&] { return store_.list_keys(); });
    }
#endif

#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 212
    using ::c10d::Store::barrier;

    void barrier(const std::string &key, std::int64_t world_size,
                 const std::chrono::milliseconds &timeout) override {
        call([&] {
            if (world_size < 1) {
                throw std::invalid_argument(
                    "the world size of a barrier must be greater than zero");
            }
            store_.barrier(key, static_cast<std::uint64_t>(world_size), limit(timeout));
        });
    }
#endif

    /// Ends the calls blocked on this object and all later ones. For good; clones are cancelled on
    /// their own.
    void cancel() noexcept {
        store_.cancel();
    }

    /// The store underneath, for calls that c10d::Store lacks.
    const rdzv::Store &store() const noexcept {
        return store_;
    }

  private:
    /// Runs `body` and turns rdzv::Error into what libtorch and its Python side expect.
    template <typename Body>
    static auto call(Body body) -> decltype(body()) {
        try {
            return body();
        } catch (const rdzv::Error &error) {
            fail(error);
        }
    }

#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 202
    static ::c10::SourceLocation here() {
        return {"C10dStore", "rdzv/c10d_store.hpp", 0};
    }

    [[noreturn]] static void fail(const rdzv::Error &error) {
        switch (error.status()) {
            case RDZV_STATUS_TIMEOUT:
                throw ::c10::DistStoreError(here(), error.what());
            case RDZV_STATUS_CONNECTION:
            case RDZV_STATUS_UNKNOWN_OUTCOME:
                throw ::c10::DistNetworkError(here(), error.what());
            case RDZV_STATUS_NULL_ARGUMENT:
            case RDZV_STATUS_INVALID_ARGUMENT:
                throw std::invalid_argument(error.what());
            default:
                throw ::c10::DistError(here(), error.what());
        }
    }
#else
    [[noreturn]] static void fail(const rdzv::Error &error) {
        switch (error.status()) {
            case RDZV_STATUS_TIMEOUT:
                throw ::c10d::TimeoutError(error.what());
            case RDZV_STATUS_NULL_ARGUMENT:
            case RDZV_STATUS_INVALID_ARGUMENT:
                throw std::invalid_argument(error.what());
            default:
                throw std::runtime_error(error.what());
        }
    }
#endif

    /// A timeout of libtorch's, where a negative one means for ever.
    static std::chrono::milliseconds limit(const std::chrono::milliseconds &timeout) {
        return timeout < std::chrono::milliseconds::zero() ? std::chrono::milliseconds::max()
                                                           : timeout;
    }

    rdzv::Store store_;
};

}  // namespace rdzv

#endif
