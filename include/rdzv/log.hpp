// The log, from C++17. Part of rdzv.hpp, which includes it.
#ifndef RDZV_LOG_HPP
#define RDZV_LOG_HPP

#include <functional>
#include <memory>
#include <mutex>
#include <rdzv.hpp>
#include <string_view>

namespace rdzv {

/// Receives a level (RDZV_LOG_ERROR …) and a line, on whichever thread it happens, so on several at
/// once.
using LogCallback = std::function<void(std::int32_t, std::string_view)>;

namespace detail {

struct Log {
    std::mutex mutex;
    std::unique_ptr<LogCallback> callback;

    /// Never destroyed, since lines may come until the very end of the process.
    static Log &instance() {
        static Log *log = new Log;
        return *log;
    }

    /// Whether this thread is in the callback.
    static bool &busy() {
        thread_local bool busy = false;
        return busy;
    }

    static void line(std::int32_t level, const char *message, void *user_data) noexcept {
        busy() = true;
        try {
            (*static_cast<LogCallback *>(user_data))(level, message);
        } catch (...) {
            // The library is C: nothing may pass through it.
        }
        busy() = false;
    }
};

}  // namespace detail

/// Sends the log lines of `level` and all more important ones to `callback`; an empty one or
/// RDZV_LOG_OFF switches logging off. What the callback throws is dropped.
inline void set_log_callback(std::int32_t level, LogCallback callback) {
    using detail::Log;
    if (Log::busy()) {
        throw Error(RDZV_STATUS_INVALID_ARGUMENT, "the log callback cannot replace itself");
    }
    const bool on = callback && level != RDZV_LOG_OFF;
    auto next = on ? std::make_unique<LogCallback>(std::move(callback)) : nullptr;
    Log &log = Log::instance();
    const std::lock_guard<std::mutex> lock(log.mutex);
    detail::check(rdzv_set_log_callback(level, on ? &Log::line : nullptr, next.get()));
    // From here on the library does not call the old one.
    log.callback = std::move(next);
}

}  // namespace rdzv

#endif
