// A TCP proxy before the fixture's etcd that writes down every request: over which connection, and
// what it asks.
#ifndef RDZV_TESTS_LOG_PROXY_HPP
#define RDZV_TESTS_LOG_PROXY_HPP

#include <poll.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "raw_http.h"

class LogProxy {
  public:
    struct Request {
        int connection;    // counted from 1, in the order in which they were opened
        std::string line;  // method and target
    };

    explicit LogProxy(const char *endpoint) : endpoint_(endpoint) {
        struct sockaddr_in address = {};
        socklen_t len = sizeof address;
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(bind(listener_, reinterpret_cast<struct sockaddr *>(&address), len) == 0);
        CHECK(listen(listener_, 64) == 0);
        CHECK(getsockname(listener_, reinterpret_cast<struct sockaddr *>(&address), &len) == 0);
        port_ = ntohs(address.sin_port);
        threads_.emplace_back([this] { accept_all(); });
    }
    LogProxy(const LogProxy &) = delete;
    LogProxy &operator=(const LogProxy &) = delete;

    ~LogProxy() {
        over_ = true;
        threads_.front().join();
        for (size_t index = 1; index < threads_.size(); index++) {
            threads_[index].join();
        }
        close(listener_);
    }

    std::string endpoint() const {
        return "127.0.0.1:" + std::to_string(port_);
    }

    // The requests since the last call.
    std::vector<Request> take() {
        const std::lock_guard<std::mutex> guard(mutex_);
        std::vector<Request> taken;
        taken.swap(requests_);
        return taken;
    }

  private:
    // What one connection has sent and what of it is still to be read.
    struct Parser {
        std::string text;
        size_t body = 0;
    };

    void accept_all() {
        while (!over_) {
            struct pollfd ready = {listener_, POLLIN, 0};
            if (poll(&ready, 1, 20) == 1) {
                const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
                CHECK(client >= 0);
                const int connection = static_cast<int>(threads_.size());
                threads_.emplace_back([this, client, connection] { relay(client, connection); });
            }
        }
    }

    void relay(int client, int connection) {
        const int server = raw_connect(endpoint_.c_str());
        Parser parser;
        struct pollfd ready[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
        bool open = true;
        while (open && !over_) {
            if (poll(ready, 2, 20) <= 0) {
                continue;
            }
            for (int side = 0; side < 2 && open; side++) {
                if ((ready[side].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
                    open = pass(ready[side].fd, ready[1 - side].fd, side == 0 ? &parser : nullptr,
                                connection);
                }
            }
        }
        close(client);
        close(server);
    }

    bool pass(int from, int to, Parser *parser, int connection) {
        char some[65536];
        const ssize_t len = recv(from, some, sizeof some, 0);
        if (len <= 0) {
            return false;
        }
        if (parser != nullptr) {
            parser->text.append(some, static_cast<size_t>(len));
            note(*parser, connection);
        }
        for (ssize_t sent = 0; sent < len;) {
            const ssize_t part =
                send(to, some + sent, static_cast<size_t>(len - sent), MSG_NOSIGNAL);
            if (part <= 0) {
                return false;
            }
            sent += part;
        }
        return true;
    }

    // Takes whole requests off the front of what was sent. A request is noted as soon as its head
    // is there.
    void note(Parser &parser, int connection) {
        for (;;) {
            const size_t skipped =
                parser.body < parser.text.size() ? parser.body : parser.text.size();
            parser.text.erase(0, skipped);
            parser.body -= skipped;
            const size_t end = parser.text.find("\r\n\r\n");
            if (parser.body > 0 || end == std::string::npos) {
                return;
            }
            const std::string head = parser.text.substr(0, end + 2);
            parser.text.erase(0, end + 4);
            parser.body = content_length(head);
            const size_t target = head.find(' ');
            CHECK(target != std::string::npos);
            const std::lock_guard<std::mutex> guard(mutex_);
            requests_.push_back({connection, head.substr(0, head.find(' ', target + 1))});
        }
    }

    static size_t content_length(const std::string &head) {
        std::string lower = head;
        for (char &byte : lower) {
            byte = byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + 32) : byte;
        }
        CHECK(lower.find("transfer-encoding") == std::string::npos);
        const char name[] = "\r\ncontent-length:";
        const size_t at = lower.find(name);
        return at == std::string::npos
                   ? 0
                   : std::strtoul(lower.c_str() + at + sizeof name - 1, nullptr, 10);
    }

    std::string endpoint_;
    int listener_ = -1;
    int port_ = 0;
    std::atomic<bool> over_{false};
    std::mutex mutex_;
    std::vector<Request> requests_;
    std::vector<std::thread> threads_;
};

#endif
