#include <memory>
#include <string>
#include <vector>

#include "bench.hpp"
#include "floor.hpp"

namespace {

const std::string kValue(64, 'v');

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

    /* The floor of a swap under a revision: with the slot or without. The revisions go from one to
       the next. */
    std::function<void(bool)> swap(const Place& place, const std::string& value) {
        const Requests& requests = bench_.requests;
        const auto plain = std::make_shared<Swap>([=, &requests](uint64_t revision, uint64_t) {
            return requests.swap(place, revision, value);
        });
        const auto same = std::make_shared<Swap>([=, &requests](uint64_t revision, uint64_t slot) {
            return requests.swap_slot(place, revision, value, slot);
        });
        const auto revision = std::make_shared<uint64_t>(0);
        return [=](bool slot) {
            const std::string_view body =
                ask((slot ? same : plain)->with(*revision, slot_revision_));
            *revision = done(body, slot);
        };
    }

    /* The revision that a swap has made. */
    uint64_t done(std::string_view body, bool slot) {
        if (!bench_.v2 && body.find("\"succeeded\":true") == std::string_view::npos) {
            std::fprintf(stderr, "floor: a swap was lost\n");
            std::exit(1);
        }
        const uint64_t revision = Requests::revision(wire_.head(), body);
        if (slot) slot_revision_ = revision;
        return revision;
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
    swap_row(
        "set_state", [&] { token = client_.set_state(kValue, token); },
        swap(requests.state("other"), kValue));

    client_.add("bench/counter", 1);
    swap_row(
        "add, warm", [&] { client_.add("bench/counter", 1); },
        swap(requests.store("bench/floors_"), "1234"));

    const std::string values[] = {std::string(64, 'a'), std::string(64, 'b')};
    size_t ours = 0, theirs = 0;
    const Place swapped = requests.store("bench/floors");
    client_.set("bench/swapped", values[0]);
    ask(requests.set(swapped, values[0]));
    std::vector<std::string> plain;
    std::vector<Swap> same;
    for (const size_t from : {0, 1}) {
        const std::string &now = values[from], &then = values[1 - from];
        plain.push_back(requests.swap_value(swapped, now, then));
        same.emplace_back([&requests, swapped, now, then](uint64_t, uint64_t slot) {
            return requests.swap_value_slot(swapped, now, then, slot);
        });
    }
    swap_row(
        "compare_set",
        [&] {
            client_.compare_set("bench/swapped", values[ours], values[1 - ours]);
            ours = 1 - ours;
        },
        [&](bool slot) {
            done(ask(slot ? same[theirs].with(0, slot_revision_) : plain[theirs]), slot);
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
