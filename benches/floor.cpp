#include "floor.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "floor: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

}  // namespace

int dial(const std::string& endpoint) {
    const size_t colon = endpoint.rfind(':');
    std::string host = endpoint.substr(0, colon);
    if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_family = host == "localhost" ? AF_INET : AF_UNSPEC;
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), endpoint.c_str() + colon + 1, &hints, &found) != 0) {
        fail("getaddrinfo");
    }
    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) fail("connect");
    freeaddrinfo(found);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

Wire::Wire(const std::string& endpoint) : fd_(dial(endpoint)), buffer_(1 << 16) {}

Wire::~Wire() {
    close(fd_);
}

void Wire::send(const std::string& request) {
    const char* data = request.data();
    size_t left = request.size();
    bytes_ += left;
    while (left > 0) {
        const ssize_t count = ::send(fd_, data, left, MSG_NOSIGNAL);
        if (count < 0) fail("send");
        data += count;
        left -= static_cast<size_t>(count);
    }
    filled_ = 0;
    head_len_ = 0;
}

void Wire::more() {
    if (filled_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
    ssize_t count = 0;
    do {
        count = recv(fd_, buffer_.data() + filled_, buffer_.size() - filled_, 0);
    } while (count < 0 && errno == EINTR);
    if (count <= 0) fail("recv");
    filled_ += static_cast<size_t>(count);
    bytes_ += static_cast<uint64_t>(count);
}

/* Where `text` begins, at `from` or later, reading on until it is there. */
size_t Wire::find(std::string_view text, size_t from) {
    for (;;) {
        if (filled_ > from) {
            const void* found =
                memmem(buffer_.data() + from, filled_ - from, text.data(), text.size());
            if (found != nullptr) {
                return static_cast<size_t>(static_cast<const char*>(found) - buffer_.data());
            }
        }
        more();
    }
}

void Wire::receive_until(std::string_view text) {
    find(text, 0);
}

std::string_view Wire::receive() {
    head_len_ = find("\r\n\r\n", 0) + 4;
    const uint64_t length = number_after(head(), "Content-Length: ");
    if (length == 0 && head().find("chunked") != std::string_view::npos) return chunked(head_len_);
    while (filled_ < head_len_ + length) more();
    return input().substr(head_len_, length);
}

std::string_view Wire::chunked(size_t from) {
    body_.clear();
    for (;;) {
        const size_t line = find("\r\n", from);
        const size_t size = std::strtoul(buffer_.data() + from, nullptr, 16);
        while (filled_ < line + 2 + size + 2) more();
        if (size == 0) return body_;
        body_.append(buffer_.data() + line + 2, size);
        from = line + 2 + size + 2;
    }
}

std::string_view Wire::ask(const std::string& request) {
    send(request);
    return receive();
}

std::string_view Wire::head() const {
    return input().substr(0, head_len_);
}

int Wire::status() const {
    return static_cast<int>(number_after(head(), "HTTP/1.1"));
}

uint64_t number_after(std::string_view text, std::string_view name) {
    const void* found = memmem(text.data(), text.size(), name.data(), name.size());
    if (found == nullptr) return 0;
    auto at = static_cast<size_t>(static_cast<const char*>(found) - text.data());
    at += name.size();
    while (at < text.size() && (text[at] == '"' || text[at] == ':' || text[at] == ' ')) ++at;
    uint64_t number = 0;
    std::from_chars(text.data() + at, text.data() + text.size(), number);
    return number;
}
