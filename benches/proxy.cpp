#include "proxy.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "floor.hpp"

namespace {

/* One end of a connection; what it has read waits in the other end's `pending`. */
struct End {
    int fd;
    End* other;
    std::atomic<uint64_t>* counter; /* of what is read here */
    std::string pending;
    bool ended = false; /* nothing more is read here */
};

void require(bool holds, const char* what) {
    if (!holds) {
        std::perror(what);
        std::exit(1);
    }
}

/* Reads while the other end keeps up, writes what is pending, and asks to be told of the rest. */
class Pump {
  public:
    explicit Pump(int epoll) : epoll_(epoll) {}

    void add(int client, int server, std::atomic<uint64_t>& sent, std::atomic<uint64_t>& received) {
        for (const int fd : {client, server}) {
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
            const int on = 1;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            ends_[fd] = std::make_unique<End>();
        }
        *ends_[client] = {client, ends_[server].get(), &sent, "", false};
        *ends_[server] = {server, ends_[client].get(), &received, "", false};
        for (const int fd : {client, server}) {
            epoll_event event = {};
            event.events = EPOLLIN;
            event.data.fd = fd;
            epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
        }
    }

    void ready(int fd) {
        const auto found = ends_.find(fd);
        if (found == ends_.end()) return;
        End& end = *found->second;
        write(end);
        read(end);
        write(*end.other);
        if (end.ended && end.other->pending.empty()) shutdown(end.other->fd, SHUT_WR);
        if (end.ended && end.other->ended && end.pending.empty() && end.other->pending.empty()) {
            remove(end);
            return;
        }
        watch(end);
        watch(*end.other);
    }

  private:
    void read(End& end) {
        if (end.ended || !end.other->pending.empty()) return;
        const ssize_t count = recv(end.fd, buffer_.data(), buffer_.size(), 0);
        if (count > 0) {
            *end.counter += static_cast<uint64_t>(count);
            end.other->pending.assign(buffer_.data(), static_cast<size_t>(count));
        } else if (count == 0 || errno != EAGAIN) {
            end.ended = true;
        }
    }

    void write(End& end) {
        while (!end.pending.empty()) {
            const ssize_t count =
                ::send(end.fd, end.pending.data(), end.pending.size(), MSG_NOSIGNAL);
            if (count < 0) {
                if (errno != EAGAIN) {
                    end.pending.clear();
                    end.ended = true;
                }
                return;
            }
            end.pending.erase(0, static_cast<size_t>(count));
        }
    }

    void watch(End& end) {
        epoll_event event = {};
        if (!end.ended && end.other->pending.empty()) event.events |= EPOLLIN;
        if (!end.pending.empty()) event.events |= EPOLLOUT;
        event.data.fd = end.fd;
        epoll_ctl(epoll_, EPOLL_CTL_MOD, end.fd, &event);
    }

    void remove(End& end) {
        const int fds[] = {end.fd, end.other->fd};
        for (const int fd : fds) {
            close(fd);
            ends_.erase(fd);
        }
    }

    int epoll_;
    std::map<int, std::unique_ptr<End>> ends_;
    std::vector<char> buffer_ = std::vector<char>(1 << 17);
};

}  // namespace

Proxy::Proxy(const std::string& endpoint)
    : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
      stop_(eventfd(0, EFD_CLOEXEC)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    require(bind(listener_, reinterpret_cast<sockaddr*>(&address), length) == 0, "bind");
    require(listen(listener_, 4096) == 0, "listen");
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    endpoint_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this, endpoint] { run(endpoint); });
}

Proxy::~Proxy() {
    const uint64_t one = 1;
    if (write(stop_, &one, sizeof one) == sizeof one) thread_.join();
    close(listener_);
    close(stop_);
}

void Proxy::run(const std::string& target) {
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    Pump pump(epoll);
    for (const int fd : {listener_, stop_}) {
        epoll_event event = {};
        event.events = EPOLLIN;
        event.data.fd = fd;
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
    for (;;) {
        epoll_event events[256];
        const int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; ++i) {
            const int fd = events[i].data.fd;
            if (fd == stop_) {
                close(epoll);
                return;
            }
            if (fd != listener_) {
                pump.ready(fd);
                continue;
            }
            const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (client >= 0) pump.add(client, dial(target), sent_, received_);
        }
    }
}
