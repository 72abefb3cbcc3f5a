// The handler without Python: N nodes of one process agree on ranks, lose a member, take in a late
// one, and close.
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "etcd_fixture.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Node {
    rdzv_handler *handler = nullptr;
    rdzv_store *store = nullptr;
    rdzv_rendezvous_info info{};
    Clock::time_point returned;

    Node(const char *run_id, int min_nodes, int max_nodes) {
        rdzv_params *params = nullptr;
        CHECK_OK(
            rdzv_create_params("etcd", fixture_endpoint(), run_id, min_nodes, max_nodes, &params));
        CHECK_OK(rdzv_params_set(params, "api", fixture_api()));
        CHECK_OK(rdzv_params_set_config(
            params,
            "last_call_timeout=1,keep_alive_interval=1,keep_alive_max_attempt=2,"
            "join_timeout=20,local_addr=localhost"));
        CHECK_OK(rdzv_create_handler(params, &handler));
        rdzv_free_params(params);
    }
    Node(const Node &) = delete;
    Node &operator=(const Node &) = delete;
    ~Node() {
        rdzv_free_store(store);
        rdzv_free_handler(handler);
    }

    rdzv_status join() {
        rdzv_free_store(store);
        store = nullptr;
        const rdzv_status status = rdzv_next_rendezvous(handler, &info, &store);
        returned = Clock::now();
        return status;
    }
};

using Nodes = std::vector<std::unique_ptr<Node>>;

// All join at once; their ranks are 0 to n - 1, and they can talk through the round's store.
void join_all(Nodes &nodes, uint64_t round) {
    std::vector<std::thread> threads;
    for (auto &node : nodes) {
        threads.emplace_back([&node] { CHECK_OK(node->join()); });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    std::map<uint64_t, Node *> ranks;
    for (auto &node : nodes) {
        CHECK_INT(node->info.round, round);
        CHECK_INT(node->info.world_size, nodes.size());
        ranks[node->info.rank] = node.get();
    }
    CHECK_INT(ranks.size(), nodes.size());
    CHECK_INT(ranks.rbegin()->first, nodes.size() - 1);
    const std::string value = "round " + std::to_string(round);
    CHECK_OK(rdzv_store_set(ranks[0]->store, "MASTER",
                            reinterpret_cast<const uint8_t *>(value.data()), value.size()));
    rdzv_bytes seen{};
    CHECK_OK(rdzv_store_get(ranks.rbegin()->second->store, "MASTER", &seen));
    CHECK_BYTES(seen, value.data(), value.size());
    rdzv_bytes_free(&seen);
}

Nodes make(const char *run_id, int count, int min_nodes, int max_nodes) {
    Nodes nodes;
    for (int i = 0; i < count; ++i) {
        nodes.push_back(std::make_unique<Node>(run_id, min_nodes, max_nodes));
    }
    return nodes;
}

struct Events {
    std::mutex mutex;
    std::vector<std::string> lines;
    static void note(int32_t kind, const char *json, void *data) {
        auto *events = static_cast<Events *>(data);
        std::lock_guard<std::mutex> lock(events->mutex);
        events->lines.push_back(std::to_string(kind) + " " + json);
    }
    bool has(const std::string &part) {
        std::lock_guard<std::mutex> lock(mutex);
        for (const auto &line : lines) {
            if (line.find(part) != std::string::npos) {
                return true;
            }
        }
        return false;
    }
};

void rounds_follow_each_other(int count) {
    Nodes nodes = make("rounds", count, count, count);
    join_all(nodes, 0);
    join_all(nodes, 1);
    bool is_closed = true;
    CHECK_OK(rdzv_handler_is_closed(nodes[0]->handler, &is_closed));
    CHECK(!is_closed);
    CHECK_STR(rdzv_handler_run_id(nodes[0]->handler), "rounds");
    bool has_closed = false;
    CHECK_OK(rdzv_handler_shutdown(nodes[0]->handler, &has_closed));
    CHECK(has_closed);
    CHECK_STATUS(nodes[1]->join(), RDZV_STATUS_CLOSED);
    CHECK_STR(rdzv_last_error_message(), "The rendezvous is closed.");
    CHECK_CONTAINS(rdzv_last_error_cause(), "rounds");
}

void a_dead_node_is_missed_and_a_late_one_waits() {
    Nodes nodes = make("death", 3, 2, 3);
    Events events;
    CHECK_OK(rdzv_handler_set_event_callback(nodes[0]->handler, Events::note, &events));
    join_all(nodes, 0);
    CHECK(events.has("6 {\"event\":\"complete\",\"round\":0,\"world_size\":3}"));
    // A node that is freed leaves no word: it just stops its heartbeats.
    nodes.pop_back();
    uint64_t waiting = 0;
    Nodes late = make("death", 1, 2, 3);
    std::thread joining([&late] { CHECK_OK(late[0]->join()); });
    const auto until = Clock::now() + std::chrono::seconds(15);
    // Whichever node finds the death first writes it down; the others see a node less.
    const auto is_missed = [&events] {
        return events.has("\"event\":\"died\"") || events.has("\"event\":\"left\"");
    };
    while ((waiting == 0 || !is_missed()) && Clock::now() < until) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        CHECK_OK(rdzv_handler_num_nodes_waiting(nodes[0]->handler, &waiting));
    }
    CHECK_INT(waiting, 1);
    CHECK(is_missed());
    std::vector<std::thread> threads;
    for (auto &node : nodes) {
        threads.emplace_back([&node] { CHECK_OK(node->join()); });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    joining.join();
    for (Node *node : {nodes[0].get(), nodes[1].get(), late[0].get()}) {
        CHECK_INT(node->info.round, 1);
        CHECK_INT(node->info.world_size, 3);
    }
}

void too_few_nodes_say_so() {
    Node node("few", 2, 2);
    std::thread reader([&node] {
        std::this_thread::sleep_for(std::chrono::milliseconds(800));
        rdzv_bytes json{};
        CHECK_OK(rdzv_handler_status_json(node.handler, &json));
        const char *text = reinterpret_cast<const char *>(json.data);
        CHECK_CONTAINS(text, "\"missing\":1");
        CHECK_CONTAINS(text, "\"phase\":\"joining\"");
        CHECK_CONTAINS(text, "\"address\":\"localhost\"");
        printf("%s\n", text);
        rdzv_bytes_free(&json);
        // A second thread is told that it cannot join.
        rdzv_rendezvous_info info{};
        rdzv_store *store = nullptr;
        CHECK_STATUS(rdzv_next_rendezvous(node.handler, &info, &store),
                     RDZV_STATUS_INVALID_ARGUMENT);
        rdzv_handler_cancel(node.handler);
    });
    CHECK_STATUS(node.join(), RDZV_STATUS_CANCELLED);
    reader.join();
}

void everybody_returns_soon_after_the_last_join() {
    for (int count : {2, 4, 8}) {
        Nodes nodes = make(("quick" + std::to_string(count)).c_str(), count, count, count);
        join_all(nodes, 0);
        auto first = nodes[0]->returned, last = first;
        for (auto &node : nodes) {
            first = std::min(first, node->returned);
            last = std::max(last, node->returned);
        }
        printf("%d nodes: all returned within %.1f ms\n", count,
               std::chrono::duration<double, std::milli>(last - first).count());
    }
}

}  // namespace

// With an argument only what needs no speed, for valgrind.
int main(int argc, char **) {
    fixture_start();
    rounds_follow_each_other(argc > 1 ? 2 : 4);
    too_few_nodes_say_so();
    if (argc == 1) {
        a_dead_node_is_missed_and_a_late_one_waits();
        everybody_returns_soon_after_the_last_join();
    }
    fixture_stop();
    return 0;
}
