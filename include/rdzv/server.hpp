// A local etcd, from C++17. Part of rdzv.hpp, which includes it.
#ifndef RDZV_SERVER_HPP
#define RDZV_SERVER_HPP

#include <rdzv.hpp>

namespace rdzv {

/// How to start a server. Changing them must not overlap with any other call on them.
class ServerOptions {
  public:
    ServerOptions() {
        rdzv_server_options *options = nullptr;
        detail::check(rdzv_create_server_options(&options));
        handle_.reset(options);
    }

    /// Sets an option; rdzv_server_options_set() lists them.
    ServerOptions &set(std::string_view key, std::string_view value) {
        detail::check(rdzv_server_options_set(handle(), detail::key(key).c_str(),
                                              detail::text(value, "value").c_str()));
        return *this;
    }

    /// For calls of the C API; stays owned by this object.
    rdzv_server_options *handle() const noexcept {
        return handle_.get();
    }

  private:
    detail::Handle<rdzv_server_options> handle_;
};

/// An etcd that runs as a child of this process, and stops with this object.
class Server {
  public:
    /// Starts it and waits until it answers.
    explicit Server(const ServerOptions &options = ServerOptions()) {
        rdzv_server *server = nullptr;
        detail::check(rdzv_start_server(options.handle(), &server));
        handle_.reset(server);
    }

    /// host:port for clients.
    std::string endpoint() const {
        return rdzv_server_endpoint(handle());
    }
    std::string host() const {
        return rdzv_server_host(handle());
    }
    std::uint16_t port() const {
        return rdzv_server_port(handle());
    }
    /// etcd's own version, such as "3.4.23".
    std::string version() const {
        return rdzv_server_version(handle());
    }

    void stop() const {
        detail::check(rdzv_stop_server(handle()));
    }

    /// For calls of the C API; stays owned by this object.
    rdzv_server *handle() const noexcept {
        return handle_.get();
    }

  private:
    detail::Handle<rdzv_server> handle_;
};

}  // namespace rdzv

#endif
