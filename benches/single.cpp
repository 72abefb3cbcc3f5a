#include <string>

#include "bench.hpp"
#include "floor.hpp"

namespace {

const std::string kValue(64, 'v');

/* A write that hands its revision on to the next, as the floor does it. */
struct Chain {
    uint64_t revision = 0;
    uint64_t slot_revision = 0;
};

class Single {
  public:
    explicit Single(const Bench& bench)
        : bench_(bench),
          client_(bench.etcd.endpoint(), bench.v2, "bench"),
          wire_(bench.etcd.endpoint()) {
        if (!bench_.v2) ask(bench_.requests.lease());
    }

    void reads();
    void writes();
    void swaps();

  private:
    void row(const std::string& operation, const std::function<void()>& call,
             const std::function<void()>& floor) {
        const auto samples = interleave(bench_.rounds, {call, floor});
        bench_.report.compare(operation, samples[0], samples[1], cost_of(50, call));
    }

    /* Against the request alone, and, for v3, against the request with the slot. */
    void swap_row(const std::string& operation, const std::function<void()>& call,
                  const std::function<void(bool)>& floor) {
        const auto plain = [&] { floor(false); };
        if (bench_.v2) {
            row(operation, call, plain);
            return;
        }
        const auto same = [&] { floor(true); };
        const auto samples = interleave(bench_.rounds, {call, plain, same});
        const Cost cost = cost_of(50, call);
        bench_.report.compare(operation + " / plain txn", samples[0], samples[1], cost);
        bench_.report.compare(operation + " / same txn", samples[0], samples[2], cost);
    }

    std::string_view ask(const std::string& request) {
        const std::string_view body = wire_.ask(request);
        if (wire_.status() != 200 && wire_.status() != 201) {
            std::fprintf(stderr, "floor: %.*s\n", static_cast<int>(body.size()), body.data());
            std::exit(1);
        }
        return body;
    }

    /* Replaces `place` under the revision that `chain` knows. */
    void swap(const Place& place, Chain& chain, const std::string& value, bool slot) {
        const Requests& requests = bench_.requests;
        const std::string_view body =
            ask(slot ? requests.swap_slot(place, chain.revision, value, slot_revision_)
                     : requests.swap(place, chain.revision, value));
        done(body, slot);
        chain.revision = Requests::revision(wire_.head(), body);
    }

    void done(std::string_view body, bool slot) {
        if (!bench_.v2 && body.find("\"succeeded\":true") == std::string_view::npos) {
            std::fprintf(stderr, "floor: a swap was lost\n");
            std::exit(1);
        }
        if (slot) slot_revision_ = Requests::revision(wire_.head(), body);
    }

    const Bench& bench_;
    Client client_;
    Wire wire_;
    uint64_t slot_revision_ = 0;
};

void Single::reads() {
    const Requests& requests = bench_.requests;
    client_.set("bench/read", kValue);
    const std::string get = requests.get(requests.store("bench/read"));
    row(
        "get", [&] { client_.get("bench/read"); }, [&] { ask(get); });
    const std::string presence = requests.get(requests.store("bench/read"), true);
    row(
        "wait + get",
        [&] {
            client_.wait("bench/read");
            client_.get("bench/read");
        },
        [&] {
            ask(presence);
            ask(get);
        });
    client_.set_state(kValue, 0);
    const std::string get_state = requests.get(requests.state("bench"));
    row(
        "get_state", [&] { client_.get_state(); }, [&] { ask(get_state); });
}

void Single::writes() {
    const Requests& requests = bench_.requests;
    const Place place = requests.store("bench/floor");
    const std::string set = requests.set(place, kValue);
    row(
        "set", [&] { client_.set("bench/mines", kValue); }, [&] { ask(set); });
}

void Single::swaps() {
    const Requests& requests = bench_.requests;
    uint64_t token = client_.get_state();
    Chain state, counter;
    const Place other = requests.state("other");
    swap_row(
        "set_state", [&] { token = client_.set_state(kValue, token); },
        [&](bool slot) { swap(other, state, kValue, slot); });

    const Place sum = requests.store("bench/floors_sum");
    int count = 0;
    client_.add("bench/counter", 1);
    swap_row(
        "add, warm", [&] { client_.add("bench/counter", 1); },
        [&](bool slot) { swap(sum, counter, std::to_string(++count), slot); });

    const std::string values[] = {std::string(64, 'a'), std::string(64, 'b')};
    size_t ours = 0, theirs = 0;
    const Place swapped = requests.store("bench/floors");
    client_.set("bench/swapped", values[0]);
    ask(requests.set(swapped, values[0]));
    swap_row(
        "compare_set",
        [&] {
            client_.compare_set("bench/swapped", values[ours], values[1 - ours]);
            ours = 1 - ours;
        },
        [&](bool slot) {
            const std::string &from = values[theirs], &to = values[1 - theirs];
            const std::string_view body =
                ask(slot ? requests.swap_value_slot(swapped, from, to, slot_revision_)
                         : requests.swap_value(swapped, from, to));
            done(body, slot);
            theirs = 1 - theirs;
        });
}

}  // namespace

void bench_single(const Bench& bench) {
    Single single(bench);
    single.reads();
    single.writes();
    single.swaps();
}
