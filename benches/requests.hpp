/*
 * The requests that librdzv makes of etcd, byte for byte in shape, for the floor to send: each
 * function returns one HTTP request.
 */
#ifndef RDZV_BENCHES_REQUESTS_HPP
#define RDZV_BENCHES_REQUESTS_HPP

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

std::string base64(std::string_view bytes);

/* A key as the store has it, or the state of a run, where etcd has them. */
struct Place {
    std::string path; /* v2: path below /v2/keys; v3: the raw key */
    bool state = false;
};

class Requests {
  public:
    Requests(bool v2, std::string endpoint) : v2_(v2), endpoint_(std::move(endpoint)) {}

    bool v2() const {
        return v2_;
    }
    Place store(std::string_view key) const;
    Place state(std::string_view run_id) const;

    std::string get(const Place& place, bool presence = false) const;
    std::string set(const Place& place, std::string_view value) const;
    std::string remove(const Place& place) const;

    /* Where `revision` is still the key's, or 0 for a key that is not there. */
    std::string swap(const Place& place, uint64_t revision, std::string_view value) const;
    std::string swap_value(const Place& place, std::string_view expected,
                           std::string_view value) const;

    /* v3: as the two above, with the slot by which librdzv knows its own write, whose revision
       after a swap is that of the key. */
    std::string swap_slot(const Place& place, uint64_t revision, std::string_view value,
                          uint64_t slot_revision) const;
    std::string swap_value_slot(const Place& place, std::string_view expected,
                                std::string_view value, uint64_t slot_revision) const;

    /* v3: many keys in one request. */
    std::string get_many(const std::vector<Place>& places, bool presence) const;
    std::string set_many(const std::vector<Place>& places, std::string_view value) const;

    /* Blocks until `place` is written. v2: after the index. v3: from now on, once "created". */
    std::string watch(const Place& place, uint64_t index) const;

    /* v3: the lease that states and slots are written under. */
    std::string lease() const;

    /* The revision (v2: index) that an answer names. */
    static uint64_t revision(std::string_view head, std::string_view body);

  private:
    std::string put(const Place& place, std::string_view value, const std::string& condition) const;
    std::string post(std::string_view target, std::string_view body) const;
    std::string txn(const Place& place, const std::string& compare, std::string_view value,
                    bool slot, uint64_t slot_revision) const;
    std::string request_put(const std::string& key, std::string_view value, bool lease) const;
    std::string compare_revision(const std::string& key, uint64_t revision) const;

    bool v2_;
    std::string endpoint_;
};

/* A request that differs from one time to the next in the revisions that it names: they are written
   over the old ones, so that the floor spends nothing on building requests. */
class Swap {
  public:
    using Build = std::function<std::string(uint64_t revision, uint64_t slot_revision)>;
    explicit Swap(Build build) : build_(std::move(build)) {}

    const std::string& with(uint64_t revision, uint64_t slot_revision);

  private:
    Build build_;
    std::string request_;
    std::vector<size_t> places_;
    size_t digits_ = 0, slot_digits_ = 0;
};

#endif
