/* A TCP proxy in a thread of its own, that counts what passes through it. */
#ifndef RDZV_BENCHES_PROXY_HPP
#define RDZV_BENCHES_PROXY_HPP

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

class Proxy {
  public:
    /* Passes on to `endpoint`, host:port. */
    explicit Proxy(const std::string& endpoint);
    ~Proxy();
    Proxy(const Proxy&) = delete;
    Proxy& operator=(const Proxy&) = delete;

    /* Where clients connect to. */
    const std::string& endpoint() const {
        return endpoint_;
    }

    /* The bytes that clients sent, and that they were sent. */
    uint64_t sent() const {
        return sent_;
    }
    uint64_t received() const {
        return received_;
    }

  private:
    void run(const std::string& target);

    int listener_;
    int stop_;
    std::string endpoint_;
    std::atomic<uint64_t> sent_{0}, received_{0};
    std::thread thread_;
};

#endif
