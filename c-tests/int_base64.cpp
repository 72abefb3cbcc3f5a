// Values that others have put into etcd v2: what Python's b64decode reads is read to the same
// bytes, what it rejects is rejected.
#include "link.hpp"
#include "wire.hpp"

namespace {

struct Row {
    const char *stored;
    const char *bytes;  // NULL: binascii.Error
    size_t len;
};

// CPython's answers.
const Row kRows[] = {
    {"eA==", "x", 1},
    {"eHk=", "xy", 2},
    {"eHl6", "xyz", 3},
    {"", "", 0},
    {"!!!!", "", 0},
    {"=", "", 0},
    {"====", "", 0},
    {"eA==\n", "x", 1},
    {"e A = =", "x", 1},
    {"\teA\r\n==", "x", 1},
    {"eA===", "x", 1},
    {"eA==eA==", "x", 1},
    {"eA==garbage", "x", 1},
    {"=eA==", "x", 1},
    {"e===A==", "x", 1},
    {"-e_A==", "x", 1},
    {"eB==", "x", 1},
    {"eA=A=", "x\0", 2},
    {"AP/+", "\0\xff\xfe", 3},
    {"\xc3\xa9"
     "eA==",
     "x", 1},
    {"eA", nullptr, 0},
    {"eA=", nullptr, 0},
    {"e", nullptr, 0},
    {"eA=A", nullptr, 0},
    {"e=A=", nullptr, 0},
    {"A===", nullptr, 0},
    {"eHl6e", nullptr, 0},
    {"non_base64", nullptr, 0},
};

void states_are_read_as_python_reads_them(const Link &link) {
    for (const Row &row : kRows) {
        const wire::Reply put =
            wire::put_v2(fixture_endpoint(), "/torch/elastic/rendezvous/base64", row.stored);
        CHECK(put.status == 200 || put.status == 201);
        Bytes state;
        uint64_t token = 0;
        if (row.bytes == nullptr) {
            CHECK_STATUS(rdzv_get_state(link.backend, state.out(), &token), RDZV_STATUS_STATE);
            CHECK_STR(rdzv_last_error_message(),
                      "The state object is corrupt. See inner exception for details.");
            continue;
        }
        CHECK_OK(rdzv_get_state(link.backend, state.out(), &token));
        CHECK_TEXT(state, std::string(row.bytes, row.len));
        // It is replaced under its token like any other.
        bool has_set = false;
        CHECK_OK(rdzv_set_state(link.backend, nullptr, 0, token, state.out(), &token, &has_set));
        CHECK(has_set);
    }
}

void values_are_read_as_python_reads_them(const Link &link) {
    const std::string path = "/torch/elastic/store/" + wire::base64("key");
    for (const Row &row : kRows) {
        const wire::Reply put = wire::put_v2(fixture_endpoint(), path, row.stored);
        CHECK(put.status == 200 || put.status == 201);
        Bytes value;
        if (row.bytes == nullptr) {
            CHECK_STATUS(rdzv_store_get(link.store, "key", value.out()), RDZV_STATUS_SERVER);
            CHECK_CONTAINS(rdzv_last_error_cause(), "not base64");
            continue;
        }
        const std::string bytes(row.bytes, row.len), next = "next";
        CHECK_OK(rdzv_store_get(link.store, "key", value.out()));
        CHECK_TEXT(value, bytes);
        // compare_set compares bytes, not the text that stands for them.
        CHECK_OK(rdzv_store_compare_set(link.store, "key", DATA(bytes), DATA(next), value.out()));
        CHECK_TEXT(value, "next");
    }
}

void counters_are_read_as_python_reads_them(const Link &link) {
    const std::string path = "/torch/elastic/store/" + wire::base64("counter");
    for (const char *stored : {"NDE=", " NDE=\n", "NDE==", "IDQx"}) {
        wire::put_v2(fixture_endpoint(), path, stored);
        int64_t sum = 0;
        CHECK_OK(rdzv_store_add(link.store, "counter", 1, &sum));
        CHECK_INT(sum, 42);
        CHECK_STR(wire::get(fixture_endpoint(), true, path)->base64.c_str(), "NDI=");
    }
}

}  // namespace

int main() {
    fixture_start();
    int result = 0;
    {
        Link link("base64");
        if (link.is_v2()) {
            states_are_read_as_python_reads_them(link);
            values_are_read_as_python_reads_them(link);
            counters_are_read_as_python_reads_them(link);
        } else {
            result = fixture_skip("v3 stores raw bytes, and this etcd is spoken to in v3");
        }
    }
    fixture_stop();
    return result;
}
