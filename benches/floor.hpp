/*
 * The floor: a hand-written loop that sends a request over a socket that is kept open and reads the
 * answer. Whatever a call of the library takes beyond it is the library's own cost.
 */
#ifndef RDZV_BENCHES_FLOOR_HPP
#define RDZV_BENCHES_FLOOR_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/* One connection to etcd, in blocking mode. Ends the program where anything fails. */
class Wire {
  public:
    /* `endpoint` is host:port, as rdzv_server_endpoint() has it. */
    explicit Wire(const std::string& endpoint);
    ~Wire();
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;

    /* Sends `request`, reads the whole answer, and returns its body; `head()` is its head. */
    std::string_view ask(const std::string& request);

    /* The same in two steps, for an answer that comes when something happens. */
    void send(const std::string& request);
    std::string_view receive();

    /* Reads on until the answer, however far it has come, holds `text`. */
    void receive_until(std::string_view text);

    std::string_view head() const;

    /* The HTTP status of the last answer. */
    int status() const;

    /* The bytes sent and received so far. */
    uint64_t bytes() const {
        return bytes_;
    }

  private:
    void more();
    size_t find(std::string_view text, size_t from);
    std::string_view input() const {
        return std::string_view(buffer_.data(), filled_);
    }
    std::string_view chunked(size_t from);

    int fd_;
    std::vector<char> buffer_;
    size_t filled_ = 0;
    std::string body_;
    size_t head_len_ = 0;
    uint64_t bytes_ = 0;
};

/* A new connection to `endpoint`, in blocking mode. */
int dial(const std::string& endpoint);

/* The number that follows `name` in `text`, past quotes, colons and spaces; 0 where there is none.
 */
uint64_t number_after(std::string_view text, std::string_view name);

#endif
