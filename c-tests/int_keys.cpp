// Keys and values of every shape and size: what EtcdStore loses is kept, and what etcd cannot hold
// is said.
#include <sys/wait.h>

#include <algorithm>
#include <set>

#include "link.hpp"
#include "wire.hpp"

namespace {

// Keys whose base64 is no plain path: with slashes at each place, doubled, first and last; and
// empty.
std::vector<std::string> troublesome_keys() {
    std::vector<std::string> keys = {"",
                                     "???",
                                     "aa?b",
                                     "ab?",
                                     "ab?x",
                                     "a?/b?"
                                     "?/",
                                     "YWI",
                                     "YWI/",
                                     "~",
                                     "~YWI_",
                                     "_",
                                     ".",
                                     "..",
                                     "a//b",
                                     "/",
                                     "//",
                                     "\xff",
                                     "\xff\xff\xff",
                                     "\xff\xff\xff\xff",
                                     "\xff\xff\xff\xff\xff\xff",
                                     "\xfb\xef\xbe",
                                     "ab1",
                                     "ab1\xfc\x01",
                                     "ab1\xff\xff\xff",
                                     "k%41",
                                     "k A",
                                     "k+",
                                     "k&x=1",
                                     "k#",
                                     "k;",
                                     "\n",
                                     "\x01",
                                     "\x7f\x7f\x7f",
                                     "k\xc3\xb6",
                                     "K",
                                     "k"};
    std::string all;
    for (int byte = 1; byte < 256; byte++) {
        all += static_cast<char>(byte);
    }
    keys.push_back(all);
    // Every key of three bytes from a set in which base64's digits of interest are common.
    for (const char first : {'?', '\x7f', '\xff', 'a'}) {
        for (const char second : {'?', '\xf3', '\xff', 'a'}) {
            for (const char third : {'?', '\xfc', '\xff', 'a'}) {
                keys.push_back(std::string{'z', first, second, third});
            }
        }
    }
    return keys;
}

// All at once, so that no key takes the place of another or stands in its way.
void every_key_holds_its_own_value(const rdzv_store *store) {
    const std::vector<std::string> keys = troublesome_keys();
    CHECK_INT(std::set<std::string>(keys.begin(), keys.end()).size(), keys.size());
    for (const bool forwards : {true, false}) {
        bool present = true;
        for (size_t index = 0; index < keys.size(); index++) {
            const std::string &key = keys[forwards ? index : keys.size() - 1 - index];
            CHECK_OK(check(store, {key}, &present));
            CHECK(!present);
            CHECK_OK(set(store, key, "value of " + key));
        }
        CHECK_OK(check(store, keys, &present));
        CHECK(present);
        CHECK_OK(wait(store, keys, 0));
        for (const std::string &key : keys) {
            Bytes value;
            CHECK_OK(rdzv_store_get(store, key.c_str(), value.out()));
            CHECK_TEXT(value, "value of " + key);
        }
        List list;
        CHECK_OK(rdzv_store_list_keys(store, list.out()));
        std::vector<std::string> listed = list.texts(), expected = keys;
        std::sort(listed.begin(), listed.end());
        std::sort(expected.begin(), expected.end());
        CHECK(listed == expected);
        uint64_t count = 0;
        CHECK_OK(rdzv_store_num_keys(store, &count));
        CHECK_INT(count, keys.size());
        for (const std::string &key : keys) {
            bool deleted = false;
            CHECK_OK(rdzv_store_delete_key(store, key.c_str(), &deleted));
            CHECK(deleted);
        }
        CHECK_OK(rdzv_store_num_keys(store, &count));
        CHECK_INT(count, 0);
    }
}

void every_key_counts_and_queues(const rdzv_store *store) {
    for (const std::string &key : troublesome_keys()) {
        int64_t sum = 0;
        CHECK_OK(rdzv_store_add(store, key.c_str(), 2, &sum));
        CHECK_OK(rdzv_store_add(store, key.c_str(), 3, &sum));
        CHECK_INT(sum, 5);
        CHECK_OK(rdzv_store_queue_push(store, key.c_str(), DATA(key)));
        Bytes value;
        CHECK_OK(rdzv_store_queue_pop(store, key.c_str(), false, value.out()));
        CHECK_TEXT(value, key);
        bool deleted = false;
        CHECK_OK(rdzv_store_delete_key(store, key.c_str(), &deleted));
        CHECK(deleted);
    }
}

// Where EtcdStore reads and writes, the library does; the others are where the README says.
void keys_are_where_the_readme_says(const Link &link) {
    const struct {
        const char *key;
        const char *v2;
    } places[] = {
        {"dummy_key", "ZHVtbXlfa2V5"}, {"ab?x", "YWI/eA=="},     {"ab?", "~YWI_"}, {"", "~"},
        {"\xff\xff\xff", "~____"},     {"ab1\xff", "~YWIx_w=="},
    };
    for (const auto &place : places) {
        CHECK_OK(set(link.store, place.key, "v"));
        const std::string path =
            std::string("/torch/elastic/store/") + (link.is_v2() ? place.v2 : place.key);
        const std::optional<wire::Node> node = wire::get(fixture_endpoint(), link.is_v2(), path);
        CHECK(node.has_value());
        CHECK_STR(node->base64.c_str(), "dg==");
        bool deleted = false;
        CHECK_OK(rdzv_store_delete_key(link.store, place.key, &deleted));
    }
}

std::string noise(size_t len) {
    std::string text(len, '\0');
    uint64_t seed = 88172645463325252u + len;
    for (char &byte : text) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        byte = static_cast<char>(seed >> 32);
    }
    return text;
}

void values_hold_any_bytes_of_any_number(const Link &link) {
    std::vector<size_t> sizes = {0, 1, 2, 3, 4, 255, 256, 1000, 65535, 65536, 65537, 1 << 20};
    if (link.is_v2()) {
        sizes.push_back(5 << 20);  // v3 takes no more than 1.5 MiB
    }
    for (const size_t size : sizes) {
        const std::string value = noise(size);
        Bytes read;
        CHECK_OK(set(link.store, "large", value));
        CHECK_OK(rdzv_store_get(link.store, "large", read.out()));
        CHECK(read.text() == value);
        CHECK_OK(rdzv_store_queue_push(link.store, "large", DATA(value)));
        CHECK_OK(rdzv_store_queue_pop(link.store, "large", true, read.out()));
        CHECK(read.text() == value);
    }
    const std::string half = noise(500000);
    Bytes read;
    CHECK_OK(set(link.store, "large", half));
    CHECK_OK(rdzv_store_append(link.store, "large", DATA(half)));
    CHECK_OK(rdzv_store_get(link.store, "large", read.out()));
    CHECK(read.text() == half + half);
}

// Beyond etcd's limit a value is refused, and the store goes on.
void values_too_large_are_refused(const Link &link) {
    CHECK_OK(set(link.store, "kept", "v"));
    Bytes read;
    for (const size_t size : {8 << 20, 64 << 20}) {
        const std::string value(size, 'v');
        CHECK_STATUS(set(link.store, "kept", value), RDZV_STATUS_INVALID_ARGUMENT);
        CHECK_CONTAINS(rdzv_last_error_message(), "large");
        CHECK_STATUS(rdzv_store_queue_push(link.store, "kept", DATA(value)),
                     RDZV_STATUS_INVALID_ARGUMENT);
        CHECK_STATUS(rdzv_store_append(link.store, "kept", DATA(value)),
                     RDZV_STATUS_INVALID_ARGUMENT);
        CHECK_STATUS(
            rdzv_store_compare_set(link.store, "kept", nullptr, 0, DATA(value), read.out()),
            RDZV_STATUS_INVALID_ARGUMENT);
    }
    CHECK_OK(rdzv_store_get(link.store, "kept", read.out()));
    CHECK_TEXT(read, "v");
}

// What a child process finds with the key as its first request on a new connection; 0 where that is
// as it should be.
int first_request_with(const rdzv_store *store, const std::string &key) {
    Bytes value;
    // Under v3 key and value share one limit.
    const std::string text = key.substr(0, 100);
    rdzv_status status = rdzv_store_set(store, key.c_str(), DATA(text));
    if (status == RDZV_STATUS_OK) {
        CHECK_OK(rdzv_store_get(store, key.c_str(), value.out()));
        CHECK(value.text() == text);
    } else {
        CHECK_STATUS(status, RDZV_STATUS_INVALID_ARGUMENT);
        CHECK_CONTAINS(rdzv_last_error_message(), "bytes");
        CHECK_STATUS(rdzv_store_get(store, key.c_str(), value.out()), RDZV_STATUS_INVALID_ARGUMENT);
        bool present = false;
        CHECK_STATUS(check(store, {key}, &present), RDZV_STATUS_INVALID_ARGUMENT);
    }
    return 0;
}

// etcd resets a connection whose first request line is longer than 4096 bytes: no key may come to
// that.
void long_keys_work_or_are_refused(const Link &link) {
    int taken = 0, tried = 0;
    std::vector<size_t> sizes = {1000, 1 << 20};
    for (size_t size = 2500; size <= 4200; size += 50) {
        sizes.push_back(size);
    }
    for (const size_t size : sizes) {
        for (const char byte : {'k', '?', '\xff'}) {
            const std::string key(size, byte);
            const pid_t child = fork();
            if (child == 0) {
                _exit(first_request_with(link.store, key));
            }
            int status = 0;
            CHECK(child > 0 && waitpid(child, &status, 0) == child);
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            bool present = false;
            const rdzv_status now = check(link.store, {key}, &present);
            CHECK(now == RDZV_STATUS_OK ? present : now == RDZV_STATUS_INVALID_ARGUMENT);
            taken += now == RDZV_STATUS_OK ? 1 : 0;
            tried++;
        }
    }
    CHECK(taken >= 9);
    if (!link.is_v2()) {
        CHECK(taken >= tried - 3);  // only the key of 1 MiB may be refused
    }
}

}  // namespace

int main() {
    fixture_start();
    {
        Link link;
        every_key_holds_its_own_value(link.store);
        every_key_counts_and_queues(link.store);
        keys_are_where_the_readme_says(link);
        values_hold_any_bytes_of_any_number(link);
        values_too_large_are_refused(link);
        long_keys_work_or_are_refused(link);
    }
    fixture_stop();
    return 0;
}
