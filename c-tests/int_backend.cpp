// The cases that the reference's mixin has for every rendezvous backend, and what the state looks
// like to others.
#include "link.hpp"
#include "wire.hpp"

namespace {

const char kPrefix[] = "/dummy_prefix";
const char kPath[] = "/dummy_prefix/dummy_run_id";

struct State {
    std::string text;
    uint64_t token;
    bool has_set;
};

State set_state(const Link &link, const std::string &text, uint64_t token = 0) {
    Bytes state;
    State now{"", 0, false};
    CHECK_OK(
        rdzv_set_state(link.backend, DATA(text), token, state.out(), &now.token, &now.has_set));
    now.text = state.text();
    return now;
}

State get_state(const Link &link) {
    Bytes state;
    State now{"", 0, false};
    CHECK_OK(rdzv_get_state(link.backend, state.out(), &now.token));
    now.text = state.text();
    return now;
}

void check_no_state(const Link &link) {
    Bytes state;
    uint64_t token = 5;
    CHECK_STATUS(rdzv_get_state(link.backend, state.out(), &token), RDZV_STATUS_NOT_FOUND);
    CHECK(state.raw().data == nullptr && token == 5);
}

// A backend as the reference's set-up makes it: under a prefix of its own that holds nothing.
struct Fresh : Link {
    Fresh() : Link(params()) {
        wire::remove(fixture_endpoint(), is_v2(), is_v2() ? kPrefix : kPath);
    }

    static const rdzv_params *params() {
        static rdzv_params *params = nullptr;
        if (params == nullptr) {
            params = fixture_params("dummy_run_id");
            CHECK_OK(rdzv_params_set(params, "key_prefix", kPrefix));
        }
        return params;
    }
};

// --- The mixin's eight ---

void get_state_returns_backend_state() {
    Fresh link;
    const State set = set_state(link, "x");
    const State got = get_state(link);
    CHECK_STR(got.text.c_str(), "x");
    CHECK(got.token != 0 && got.token == set.token);
}

void get_state_returns_none_if_backend_state_does_not_exist() {
    Fresh link;
    check_no_state(link);
}

void get_state_raises_error_if_backend_state_is_corrupt() {
    Fresh link;
    if (!link.is_v2()) {
        return;  // v3 stores raw bytes: whatever is there is a state.
    }
    CHECK_INT(wire::put_v2(fixture_endpoint(), kPath, "non_base64").status, 201);
    Bytes state;
    uint64_t token = 5;
    CHECK_STATUS(rdzv_get_state(link.backend, state.out(), &token), RDZV_STATUS_STATE);
    CHECK_STR(rdzv_last_error_message(),
              "The state object is corrupt. See inner exception for details.");
    CHECK_CONTAINS(rdzv_last_error_cause(), "get_state of run 'dummy_run_id'");
    CHECK(std::string(rdzv_last_error_cause()).find("non_base64") == std::string::npos);
    CHECK(token == 5);
    // The same where a write meets it.
    bool has_set = false;
    CHECK_STATUS(rdzv_set_state(link.backend, nullptr, 0, 0, state.out(), &token, &has_set),
                 RDZV_STATUS_STATE);
    CHECK_STR(rdzv_last_error_message(),
              "The state object is corrupt. See inner exception for details.");
}

void set_state_sets_backend_state_if_it_does_not_exist() {
    Fresh link;
    const State set = set_state(link, "x");
    CHECK_STR(set.text.c_str(), "x");
    CHECK(set.token != 0 && set.has_set);
}

void set_state_sets_backend_state_if_token_is_current() {
    Fresh link;
    const State first = set_state(link, "x");
    const State second = set_state(link, "y", first.token);
    CHECK_STR(second.text.c_str(), "y");
    CHECK(first.has_set && second.has_set && first.token != second.token);
    CHECK_STR(get_state(link).text.c_str(), "y");
    CHECK(get_state(link).token == second.token);
}

void set_state_returns_current_backend_state_if_token_is_old() {
    Fresh link;
    const State first = set_state(link, "x");
    const State second = set_state(link, "y", first.token);
    const State third = set_state(link, "z", first.token);
    CHECK_STR(third.text.c_str(), "y");
    CHECK(!third.has_set && third.token == second.token);
}

void set_state_returns_current_backend_state_if_token_is_none() {
    Fresh link;
    const State first = set_state(link, "x");
    const State second = set_state(link, "y", 0);
    CHECK_STR(second.text.c_str(), "x");
    CHECK(!second.has_set && second.token == first.token);
}

// The reference passes a text that is no number; a number that never was a token stands for it
// here.
void set_state_returns_current_backend_state_if_token_is_invalid() {
    Fresh link;
    const State first = set_state(link, "x");
    for (const uint64_t token :
         {UINT64_MAX, UINT64_MAX / 2 + 1, uint64_t{1}, first.token + 1, first.token - 1}) {
        const State second = set_state(link, "y", token);
        CHECK_STR(second.text.c_str(), "x");
        CHECK(!second.has_set && second.token == first.token);
    }
}

// --- What the reference leaves open ---

void a_token_of_a_vanished_state_is_not_found() {
    Fresh link;
    const State first = set_state(link, "x");
    wire::remove(fixture_endpoint(), link.is_v2(), kPath);
    Bytes state;
    uint64_t token = 5;
    bool has_set = true;
    const std::string text = "y";
    CHECK_STATUS(
        rdzv_set_state(link.backend, DATA(text), first.token, state.out(), &token, &has_set),
        RDZV_STATUS_NOT_FOUND);
    CHECK(state.raw().data == nullptr && token == 5 && has_set);
    check_no_state(link);
    CHECK(set_state(link, "y").has_set);
}

void the_same_state_again_advances_the_token() {
    Fresh link;
    const State first = set_state(link, "x");
    const State second = set_state(link, "x", first.token);
    CHECK(second.has_set && second.token > first.token);
    CHECK(!set_state(link, "x", first.token).has_set);
}

void states_hold_any_bytes() {
    Fresh link;
    std::string all;
    for (int byte = 0; byte < 256; byte++) {
        all += static_cast<char>(byte);
    }
    std::string large;
    while (large.size() < 1 << 20) {
        large += all;
    }
    uint64_t token = 0;
    for (const std::string &text :
         {std::string("\0\xff\n", 3), std::string(), all, large, std::string("+/=&;% ")}) {
        const State set = set_state(link, text, token);
        CHECK(set.has_set && set.text == text);
        CHECK(get_state(link).text == text);
        token = set.token;
        const std::optional<wire::Node> node = wire::get(fixture_endpoint(), link.is_v2(), kPath);
        CHECK(node.has_value() && node->base64 == wire::base64(text));
    }
}

void every_write_gives_the_state_its_full_time_to_live() {
    rdzv_params *params = fixture_params("ttl_run");
    CHECK_OK(rdzv_params_set(params, "ttl", "3600"));
    Link link(params);
    rdzv_free_params(params);
    const std::string path = "/torch/elastic/rendezvous/ttl_run";
    uint64_t token = 0;
    for (int round = 0; round < 2; round++) {
        token = set_state(link, "x", token).token;
        const std::optional<wire::Node> node = wire::get(fixture_endpoint(), link.is_v2(), path);
        CHECK(node.has_value() && node->ttl <= 3600 && node->ttl > 3500);
    }
}

// What Python and the library both keep apart lives where Python puts it; what Python mangles, in a
// key of its own.
void run_ids_never_share_a_state() {
    const char *run_ids[] = {"job",
                             "job?x",
                             "job#x",
                             "job x",
                             "50%",
                             "50%25",
                             "a/b",
                             "a+b",
                             "j\xc3\xb6"
                             "b",
                             "a&b=c",
                             "_x"};
    for (const char *run_id : run_ids) {
        Link link(run_id);
        check_no_state(link);
        CHECK(set_state(link, run_id).has_set);
    }
    for (const char *run_id : run_ids) {
        Link link(run_id);
        CHECK_STR(get_state(link).text.c_str(), run_id);
    }
}

// Many processes race to create and to replace: one wins each time.
void one_of_two_backends_wins() {
    Fresh first;
    Link second(Fresh::params());
    uint64_t token = 0;
    for (int round = 0; round < 20; round++) {
        const Link &faster = round % 2 == 0 ? first : second;
        const Link &slower = round % 2 == 0 ? second : first;
        const State won = set_state(faster, std::to_string(round), token);
        const State lost = set_state(slower, "lost", token);
        CHECK(won.has_set && !lost.has_set && lost.text == won.text && lost.token == won.token);
        token = won.token;
    }
}

}  // namespace

int main() {
    fixture_start();
    get_state_returns_backend_state();
    get_state_returns_none_if_backend_state_does_not_exist();
    get_state_raises_error_if_backend_state_is_corrupt();
    set_state_sets_backend_state_if_it_does_not_exist();
    set_state_sets_backend_state_if_token_is_current();
    set_state_returns_current_backend_state_if_token_is_old();
    set_state_returns_current_backend_state_if_token_is_none();
    set_state_returns_current_backend_state_if_token_is_invalid();
    a_token_of_a_vanished_state_is_not_found();
    the_same_state_again_advances_the_token();
    states_hold_any_bytes();
    every_write_gives_the_state_its_full_time_to_live();
    run_ids_never_share_a_state();
    one_of_two_backends_wins();
    fixture_stop();
    return 0;
}
