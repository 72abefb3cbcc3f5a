// The rendezvous handler, from C++17. Part of rdzv.hpp, which includes it.
#ifndef RDZV_HANDLER_HPP
#define RDZV_HANDLER_HPP

#include <functional>
#include <memory>
#include <rdzv.hpp>
#include <string>
#include <string_view>

namespace rdzv {

/// What Handler::next_rendezvous() gives: this node's place in a round, and the round's store.
struct Rendezvous {
    std::uint64_t rank = 0;
    std::uint64_t world_size = 0;
    std::uint64_t round = 0;
    Store store;
};

/// Receives an event's kind (RDZV_EVENT_JOINED …) and the event as a JSON object, on the thread
/// that notices it: the one that joins, or the heartbeats' own. What it may call is told at
/// rdzv_event_callback.
using EventCallback = std::function<void(std::int32_t, std::string_view)>;

/// One node of a run, which joins its rounds. One object serves many threads at once, of which one
/// at a time may join or shut down. Destroying it ends its heartbeats and leaves the run open.
class Handler {
  public:
    /// Connects to etcd; joins nothing yet.
    explicit Handler(const Params &params) {
        rdzv_handler *handler = nullptr;
        detail::check(rdzv_create_handler(params.handle(), &handler));
        handle_.reset(handler);
    }

    Handler(Handler &&other) noexcept = default;
    Handler &operator=(Handler &&other) noexcept {
        // The old handler first: until it is freed it may call the old callback.
        handle_ = std::move(other.handle_);
        callback_ = std::move(other.callback_);
        return *this;
    }

    /// Leaves the round that this node is in, if any, and waits until the next one is complete.
    /// Throws with RDZV_STATUS_CLOSED where the run is closed, and with RDZV_STATUS_TIMEOUT where
    /// too few nodes came.
    Rendezvous next_rendezvous() const {
        rdzv_rendezvous_info info{0, 0, 0};
        rdzv_store *store = nullptr;
        detail::check(rdzv_next_rendezvous(handle(), &info, &store));
        return {info.rank, info.world_size, info.round, Store(store)};
    }

    bool is_closed() const {
        bool is_closed = false;
        detail::check(rdzv_handler_is_closed(handle(), &is_closed));
        return is_closed;
    }

    /// Ends the run for every node.
    void set_closed() const {
        detail::check(rdzv_handler_set_closed(handle()));
    }

    /// Not 0 means that this node should join again, so that those who wait get in.
    std::uint64_t num_nodes_waiting() const {
        std::uint64_t count = 0;
        detail::check(rdzv_handler_num_nodes_waiting(handle(), &count));
        return count;
    }

    std::string run_id() const {
        return rdzv_handler_run_id(handle());
    }

    /// Ends the heartbeats and closes the run; false where it could not be closed.
    bool shutdown() const {
        bool has_closed = false;
        detail::check(rdzv_handler_shutdown(handle(), &has_closed));
        return has_closed;
    }

    /// What this node knows of the run, as a JSON object.
    std::string status_json() const {
        detail::Output json;
        detail::check(rdzv_handler_status_json(handle(), json.out()));
        return json.string();
    }

    /// Has `callback` told of what happens in the run; an empty one switches that off. What it
    /// throws is dropped. Not from two threads at once.
    void set_event_callback(EventCallback callback) {
        auto next = callback ? std::make_unique<EventCallback>(std::move(callback)) : nullptr;
        detail::check(rdzv_handler_set_event_callback(handle(), next ? &Handler::event : nullptr,
                                                      next.get()));
        // From here on the library does not call the old one.
        callback_ = std::move(next);
    }

    /// Ends the calls blocked on this object and all later ones with RDZV_STATUS_CANCELLED, for
    /// good; heartbeats go on.
    void cancel() const noexcept {
        rdzv_handler_cancel(handle());
    }

    /// For calls of the C API; stays owned by this object.
    rdzv_handler *handle() const noexcept {
        return handle_.get();
    }

  private:
    static void event(std::int32_t kind, const char *json, void *user_data) noexcept {
        try {
            (*static_cast<EventCallback *>(user_data))(kind, json);
        } catch (...) {
            // The library is C: nothing may pass through it.
        }
    }

    // Destroyed after the handler, which calls it.
    std::unique_ptr<EventCallback> callback_;
    detail::Handle<rdzv_handler> handle_;
};

}  // namespace rdzv

#endif
