// The store's calls one by one: what TCPStore does, and what EtcdStore does wherever EtcdStore
// works.
#include <algorithm>

#include "link.hpp"

namespace {

std::string get(const rdzv_store *store, const std::string &key) {
    Bytes value;
    CHECK_OK(rdzv_store_get(store, key.c_str(), value.out()));
    return value.text();
}

int64_t add(const rdzv_store *store, const std::string &key, int64_t amount) {
    int64_t sum = 0;
    CHECK_OK(rdzv_store_add(store, key.c_str(), amount, &sum));
    return sum;
}

void check_add_refused(const rdzv_store *store, const std::string &key, int64_t amount) {
    int64_t sum = 123;
    CHECK_STATUS(rdzv_store_add(store, key.c_str(), amount, &sum), RDZV_STATUS_INVALID_ARGUMENT);
    CHECK_CONTAINS(rdzv_last_error_message(), ("add of key '" + key + "'").c_str());
    CHECK_INT(sum, 123);
}

bool delete_key(const rdzv_store *store, const std::string &key) {
    bool deleted = false;
    CHECK_OK(rdzv_store_delete_key(store, key.c_str(), &deleted));
    return deleted;
}

std::string compare_set(const rdzv_store *store, const std::string &key,
                        const std::string &expected, const std::string &desired) {
    Bytes value;
    CHECK_OK(
        rdzv_store_compare_set(store, key.c_str(), DATA(expected), DATA(desired), value.out()));
    return value.text();
}

void append(const rdzv_store *store, const std::string &key, const std::string &value) {
    CHECK_OK(rdzv_store_append(store, key.c_str(), DATA(value)));
}

std::vector<std::string> list_keys(const rdzv_store *store) {
    List list;
    CHECK_OK(rdzv_store_list_keys(store, list.out()));
    return list.texts();
}

uint64_t num_keys(const rdzv_store *store) {
    uint64_t count = 0;
    CHECK_OK(rdzv_store_num_keys(store, &count));
    return count;
}

void set_replaces(const rdzv_store *store) {
    CHECK_OK(set(store, "set", "one"));
    CHECK_OK(set(store, "set", "two"));
    CHECK(get(store, "set") == "two");
    CHECK_OK(set(store, "set", ""));
    CHECK(get(store, "set").empty());
}

void counters_count(const rdzv_store *store) {
    CHECK_INT(add(store, "counter", 0), 0);
    bool present = true;
    CHECK_OK(check(store, {"counter"}, &present));
    CHECK(!present);
    CHECK_INT(add(store, "counter", 1), 1);
    CHECK_INT(add(store, "counter", 2), 3);
    CHECK_INT(add(store, "counter", 3), 6);
    CHECK(get(store, "counter") == "6");
    CHECK_INT(add(store, "counter", -10), -4);
    CHECK_INT(add(store, "counter", 0), -4);
    CHECK(get(store, "counter") == "-4");
    // Other calls change what a counter holds.
    CHECK_OK(set(store, "counter", "40"));
    CHECK_INT(add(store, "counter", 2), 42);
    CHECK(compare_set(store, "counter", "42", "7") == "7");
    CHECK_INT(add(store, "counter", 1), 8);
    append(store, "counter", "0");
    CHECK_INT(add(store, "counter", 1), 81);
    CHECK(delete_key(store, "counter"));
    CHECK_INT(add(store, "counter", 5), 5);
    // Another handle, which remembers nothing of this one's counters and whose counts this one does
    // not see.
    Link other;
    CHECK_INT(add(other.store, "counter", 5), 10);
    CHECK_INT(add(store, "counter", 5), 15);
}

// As Python's int() reads them.
void counters_start_from_numbers(const rdzv_store *store) {
    const struct {
        std::string value;
        int64_t after;
    } numbers[] = {{"5", 6},   {" 7", 8},       {"-1", 0},   {"+3", 4},
                   {"007", 8}, {"1_000", 1001}, {" 8\n", 9}, {"-0", 1}};
    for (const auto &number : numbers) {
        CHECK_OK(set(store, "number", number.value));
        CHECK_INT(add(store, "number", 1), number.after);
        CHECK(get(store, "number") == std::to_string(number.after));
    }
    const std::string others[] = {"",     "x",   "1x",   "1.5",
                                  "0x10", "1 2", "--1",  "9223372036854775808",
                                  "1_",   "1e3", "\xff", std::string("1\0", 2)};
    for (const std::string &other : others) {
        CHECK_OK(set(store, "number", other));
        check_add_refused(store, "number", 1);
        check_add_refused(store, "number", 0);
        CHECK(get(store, "number") == other);
    }
}

void counters_never_overflow(const rdzv_store *store) {
    CHECK_INT(add(store, "huge", INT64_MAX), INT64_MAX);
    check_add_refused(store, "huge", 1);
    check_add_refused(store, "huge", INT64_MAX);
    CHECK_INT(add(store, "huge", 0), INT64_MAX);
    CHECK_INT(add(store, "huge", INT64_MIN), -1);
    CHECK_INT(add(store, "huge", INT64_MIN + 1), INT64_MIN);
    check_add_refused(store, "huge", -1);
    CHECK(get(store, "huge") == "-9223372036854775808");
}

// TCPStore's table, the odd row included.
void compare_set_follows_tcp_store(const rdzv_store *store) {
    const struct {
        const char *present;  // NULL: the key is not there
        const char *expected;
        const char *desired;
        const char *returned;
        const char *after;  // NULL: the key is not there
    } rows[] = {
        {nullptr, "", "new", "new", "new"},
        {nullptr, "", "", "", ""},
        {nullptr, "wrong", "new", "wrong", nullptr},
        {"old", "old", "new", "new", "new"},
        {"old", "old", "", "", ""},
        {"old", "old", "old", "old", "old"},
        {"old", "wrong", "new", "old", "old"},
        {"old", "", "new", "old", "old"},
        {"old", "OLD", "new", "old", "old"},
        {"", "", "new", "new", "new"},
        {"", "wrong", "new", "", ""},
    };
    for (const auto &row : rows) {
        delete_key(store, "compared");
        if (row.present != nullptr) {
            CHECK_OK(set(store, "compared", row.present));
        }
        CHECK_STR(compare_set(store, "compared", row.expected, row.desired).c_str(), row.returned);
        bool present = false;
        CHECK_OK(check(store, {"compared"}, &present));
        CHECK(present == (row.after != nullptr));
        if (row.after != nullptr) {
            CHECK_STR(get(store, "compared").c_str(), row.after);
        }
    }
}

void keys_are_deleted(const rdzv_store *store) {
    CHECK(!delete_key(store, "deleted"));
    CHECK_OK(set(store, "deleted", ""));
    CHECK(delete_key(store, "deleted"));
    CHECK(!delete_key(store, "deleted"));
    CHECK_STATUS(wait(store, {"deleted"}, 0), RDZV_STATUS_TIMEOUT);
}

void append_creates_and_concatenates(const rdzv_store *store) {
    append(store, "appended", "");
    CHECK(get(store, "appended").empty());
    append(store, "appended", "po");
    append(store, "appended", "tato");
    append(store, "appended", std::string("\0\xff", 2));
    CHECK(get(store, "appended") == std::string("potato\0\xff", 8));
}

void many_keys_at_once(const rdzv_store *store) {
    const std::vector<std::string> keys = {"m/1", "m/2", "m/1", "m/3", "m/2"};
    const std::vector<const char *> names = pointers(keys);
    std::string one = "one", two = "", three = "3";
    const rdzv_bytes values[] = {{reinterpret_cast<uint8_t *>(&one[0]), 3},
                                 {nullptr, 0},
                                 {reinterpret_cast<uint8_t *>(&one[0]), 3},
                                 {reinterpret_cast<uint8_t *>(&three[0]), 1},
                                 {nullptr, 0}};
    CHECK_OK(rdzv_store_multi_set(store, names.data(), values, names.size()));
    List list;
    CHECK_OK(rdzv_store_multi_get(store, names.data(), names.size(), list.out()));
    const std::vector<std::string> expected = {one, two, one, three, two};
    CHECK(list.texts() == expected);

    // One more than the most that a transaction of etcd takes, and then some.
    std::vector<std::string> many;
    std::vector<rdzv_bytes> bytes;
    for (int index = 0; index < 300; index++) {
        many.push_back("many " + std::to_string(index));
    }
    for (std::string &key : many) {
        bytes.push_back({reinterpret_cast<uint8_t *>(&key[0]), key.size()});
    }
    CHECK_OK(rdzv_store_multi_set(store, pointers(many).data(), bytes.data(), many.size()));
    CHECK_OK(wait(store, many, 0));
    CHECK_OK(rdzv_store_multi_get(store, pointers(many).data(), many.size(), list.out()));
    CHECK(list.texts() == many);
    bool present = false;
    CHECK_OK(check(store, many, &present));
    CHECK(present);
    many.push_back("many 300");
    CHECK_OK(check(store, many, &present));
    CHECK(!present);
}

void no_keys_are_all_there(const rdzv_store *store) {
    bool present = false;
    List list;
    CHECK_OK(check(store, {}, &present));
    CHECK(present);
    CHECK_OK(wait(store, {}, 0));
    CHECK_OK(wait(store, {}, RDZV_STORE_TIMEOUT));
    CHECK_OK(rdzv_store_multi_get(store, nullptr, 0, list.out()));
    CHECK(list.texts().empty());
    CHECK_OK(rdzv_store_multi_set(store, nullptr, nullptr, 0));
}

// EtcdStore never finds a key that is named twice.
void repeated_keys_count_once(const rdzv_store *store) {
    bool present = false;
    CHECK_OK(set(store, "twice", "v"));
    CHECK_OK(check(store, {"twice", "twice"}, &present));
    CHECK(present);
    CHECK_OK(wait(store, {"twice", "twice", "twice"}, 0));
    CHECK_OK(check(store, {"twice", "absent", "twice"}, &present));
    CHECK(!present);
}

void queues_are_first_in_first_out(const rdzv_store *store) {
    uint64_t len = 9;
    CHECK_OK(rdzv_store_queue_len(store, "queue", &len));
    CHECK_INT(len, 0);
    const uint64_t keys = num_keys(store);
    const std::string values[] = {"first", "", std::string("\0\xff", 2), "first"};
    for (const std::string &value : values) {
        CHECK_OK(rdzv_store_queue_push(store, "queue", DATA(value)));
    }
    CHECK_OK(rdzv_store_queue_len(store, "queue", &len));
    CHECK_INT(len, 4);
    // Queues are no keys, and a key of the same name is something else.
    CHECK_INT(num_keys(store), keys);
    CHECK_OK(set(store, "queue", "a key"));
    for (const std::string &value : values) {
        Bytes popped;
        CHECK_OK(rdzv_store_queue_pop(store, "queue", len % 2 == 0, popped.out()));
        CHECK_TEXT(popped, value);
        len--;
    }
    Bytes popped;
    CHECK_STATUS(rdzv_store_queue_pop(store, "queue", false, popped.out()), RDZV_STATUS_NOT_FOUND);
    CHECK(get(store, "queue") == "a key");
    const std::string name = "a/queue?? \xff";
    CHECK_OK(rdzv_store_queue_push(store, name.c_str(), DATA(name)));
    CHECK_OK(rdzv_store_queue_pop(store, name.c_str(), true, popped.out()));
    CHECK_TEXT(popped, name);
}

void prefixes_nest(const rdzv_store *store) {
    rdzv_store *outer = nullptr, *inner = nullptr, *sibling = nullptr;
    CHECK_OK(rdzv_store_with_prefix(store, "p", &outer));
    CHECK_OK(rdzv_store_with_prefix(outer, "q", &inner));
    CHECK_OK(rdzv_store_with_prefix(store, "pq", &sibling));
    CHECK_OK(set(inner, "k", "inner"));
    CHECK_OK(set(outer, "k", "outer"));
    CHECK_OK(set(sibling, "k", "sibling"));
    CHECK(get(store, "p/q/k") == "inner");
    CHECK(get(store, "p/k") == "outer");
    CHECK(get(outer, "q/k") == "inner");
    CHECK_INT(add(inner, "n", 3), 3);
    CHECK_INT(add(store, "p/q/n", 3), 6);
    CHECK_OK(wait(inner, {"k", "n"}, 0));
    const std::string value = "v";
    CHECK_OK(rdzv_store_queue_push(inner, "queue", DATA(value)));
    uint64_t len = 0;
    CHECK_OK(rdzv_store_queue_len(store, "p/q/queue", &len));
    CHECK_INT(len, 1);
    // Only what has the whole prefix, without it; numbers are of the whole store, as PrefixStore
    // has it.
    std::vector<std::string> keys = list_keys(outer);
    std::sort(keys.begin(), keys.end());
    const std::vector<std::string> expected = {"k", "q/k", "q/n"};
    CHECK(keys == expected);
    CHECK_INT(num_keys(inner), num_keys(store));
    CHECK(!delete_key(inner, "p/k"));
    CHECK(delete_key(inner, "k"));
    for (rdzv_store *prefixed : {outer, inner, sibling}) {
        rdzv_free_store(prefixed);
    }
}

void keys_are_listed_and_counted(const rdzv_store *store) {
    const uint64_t before = num_keys(store);
    CHECK_OK(set(store, "listed", "1"));
    CHECK_OK(set(store, "listed", "2"));
    CHECK_INT(add(store, "listed too", 1), 1);
    CHECK_INT(num_keys(store), before + 2);
    const std::vector<std::string> keys = list_keys(store);
    CHECK_INT(keys.size(), before + 2);
    for (const char *key : {"listed", "listed too"}) {
        CHECK_INT(std::count(keys.begin(), keys.end(), key), 1);
    }
    CHECK(delete_key(store, "listed"));
    CHECK_INT(num_keys(store), before + 1);
}

}  // namespace

int main() {
    fixture_start();
    {
        Link link;
        CHECK_INT(num_keys(link.store), 0);
        CHECK(list_keys(link.store).empty());
        set_replaces(link.store);
        counters_count(link.store);
        counters_start_from_numbers(link.store);
        counters_never_overflow(link.store);
        compare_set_follows_tcp_store(link.store);
        keys_are_deleted(link.store);
        append_creates_and_concatenates(link.store);
        many_keys_at_once(link.store);
        no_keys_are_all_there(link.store);
        repeated_keys_count_once(link.store);
        queues_are_first_in_first_out(link.store);
        prefixes_nest(link.store);
        keys_are_listed_and_counted(link.store);
    }
    fixture_stop();
    return 0;
}
