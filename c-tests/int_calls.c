/*
 * Each exported function once with valid arguments, and each of its pointers once with NULL on a
 * live handle. Run under valgrind this shows that every output is given and freed.
 */
#include "etcd_fixture.h"

#define CHECK_NULL(call, argument)                                                    \
    do {                                                                              \
        CHECK_STATUS(call, RDZV_STATUS_NULL_ARGUMENT);                                \
        CHECK_CONTAINS(rdzv_last_error_message(), "the argument '" argument "' of "); \
    } while (0)

#define TEXT(text) (const uint8_t*)(text), strlen(text)

static void server(void) {
    char endpoint[300];
    CHECK(rdzv_server_port(fixture_server) != 0);
    snprintf(endpoint, sizeof endpoint, ":%d", (int)rdzv_server_port(fixture_server));
    CHECK_CONTAINS(rdzv_server_endpoint(fixture_server), endpoint);
    CHECK_CONTAINS(rdzv_server_endpoint(fixture_server), rdzv_server_host(fixture_server));
    CHECK_CONTAINS(rdzv_server_version(fixture_server), ".");
}

static void state(const rdzv_backend* backend) {
    rdzv_bytes value = {NULL, 0};
    uint64_t token = 0, first = 0;
    bool has_set = false;

    CHECK_CONTAINS(rdzv_backend_name(backend), "etcd-v");
    CHECK_STATUS(rdzv_get_state(backend, &value, &token), RDZV_STATUS_NOT_FOUND);
    CHECK(value.data == NULL && token == 0);

    CHECK_OK(rdzv_set_state(backend, TEXT("one"), 0, &value, &first, &has_set));
    CHECK(has_set && first != 0);
    CHECK_BYTES(value, "one", 3);
    rdzv_bytes_free(&value);

    CHECK_OK(rdzv_set_state(backend, TEXT("two"), 0, &value, &token, &has_set));
    CHECK(!has_set && token == first);
    CHECK_BYTES(value, "one", 3);
    rdzv_bytes_free(&value);

    CHECK_OK(rdzv_set_state(backend, NULL, 0, first, &value, &token, &has_set));
    CHECK(has_set && token != first);
    CHECK_BYTES(value, "", 0);
    rdzv_bytes_free(&value);

    CHECK_OK(rdzv_get_state(backend, &value, &first));
    CHECK(first == token);
    CHECK_BYTES(value, "", 0);
    rdzv_bytes_free(&value);

    CHECK_NULL(rdzv_get_state(backend, NULL, &token), "state");
    CHECK_NULL(rdzv_get_state(backend, &value, NULL), "token");
    CHECK_NULL(rdzv_set_state(backend, NULL, 1, 0, &value, &token, &has_set), "state");
    CHECK_NULL(rdzv_set_state(backend, NULL, 0, 0, NULL, &token, &has_set), "state_out");
    CHECK_NULL(rdzv_set_state(backend, NULL, 0, 0, &value, NULL, &has_set), "token_out");
    CHECK_NULL(rdzv_set_state(backend, NULL, 0, 0, &value, &token, NULL), "has_set");
    CHECK_STATUS(
        rdzv_set_state(backend, (const uint8_t*)"x", SIZE_MAX, 0, &value, &token, &has_set),
        RDZV_STATUS_INVALID_ARGUMENT);
}

static void one_key(const rdzv_store* store) {
    rdzv_bytes value = {NULL, 0};
    int64_t sum = 0;
    bool deleted = false;

    CHECK_OK(rdzv_store_set(store, "key", TEXT("value")));
    CHECK_OK(rdzv_store_get(store, "key", &value));
    CHECK_BYTES(value, "value", 5);
    rdzv_bytes_free(&value);

    CHECK_OK(rdzv_store_add(store, "count", 2, &sum));
    CHECK_OK(rdzv_store_add(store, "count", INT64_C(-5), &sum));
    CHECK_INT(sum, -3);

    CHECK_OK(rdzv_store_compare_set(store, "key", TEXT("value"), TEXT("other"), &value));
    CHECK_BYTES(value, "other", 5);
    rdzv_bytes_free(&value);
    CHECK_OK(rdzv_store_append(store, "key", TEXT("+")));
    CHECK_OK(rdzv_store_get(store, "key", &value));
    CHECK_BYTES(value, "other+", 6);
    rdzv_bytes_free(&value);

    CHECK_OK(rdzv_store_delete_key(store, "key", &deleted));
    CHECK(deleted);
    CHECK_OK(rdzv_store_delete_key(store, "key", &deleted));
    CHECK(!deleted);

    CHECK_NULL(rdzv_store_set(store, NULL, NULL, 0), "key");
    CHECK_NULL(rdzv_store_set(store, "key", NULL, 1), "value");
    CHECK_NULL(rdzv_store_get(store, NULL, &value), "key");
    CHECK_NULL(rdzv_store_get(store, "key", NULL), "value");
    CHECK_NULL(rdzv_store_add(store, NULL, 1, &sum), "key");
    CHECK_NULL(rdzv_store_add(store, "count", 1, NULL), "value");
    CHECK_NULL(rdzv_store_compare_set(store, NULL, NULL, 0, NULL, 0, &value), "key");
    CHECK_NULL(rdzv_store_compare_set(store, "key", NULL, 1, NULL, 0, &value), "expected");
    CHECK_NULL(rdzv_store_compare_set(store, "key", NULL, 0, NULL, 1, &value), "desired");
    CHECK_NULL(rdzv_store_compare_set(store, "key", NULL, 0, NULL, 0, NULL), "value");
    CHECK_NULL(rdzv_store_append(store, NULL, NULL, 0), "key");
    CHECK_NULL(rdzv_store_append(store, "key", NULL, 1), "value");
    CHECK_NULL(rdzv_store_delete_key(store, NULL, &deleted), "key");
    CHECK_NULL(rdzv_store_delete_key(store, "key", NULL), "deleted");
    CHECK_STATUS(rdzv_store_set(store, "key", (const uint8_t*)"x", SIZE_MAX),
                 RDZV_STATUS_INVALID_ARGUMENT);
    /* None of the refused calls has sent anything. */
    CHECK_OK(rdzv_store_add(store, "count", 0, &sum));
    CHECK_INT(sum, -3);
}

static void many_keys(const rdzv_store* store) {
    static uint8_t one[] = "1", two[] = "22";
    const char* keys[] = {"many/a", "many\xff//b"};
    const char* null_keys[] = {"many/a", NULL};
    const rdzv_bytes values[] = {{one, 1}, {two, 2}};
    const rdzv_bytes null_values[] = {{one, 1}, {NULL, 2}};
    rdzv_bytes_list list = {NULL, 0};
    uint64_t count = 0;
    bool present = true;

    CHECK_OK(rdzv_store_check(store, keys, 2, &present));
    CHECK(!present);
    CHECK_STATUS(rdzv_store_wait(store, keys, 2, 0), RDZV_STATUS_TIMEOUT);
    CHECK_OK(rdzv_store_multi_set(store, keys, values, 2));
    CHECK_OK(rdzv_store_wait(store, keys, 2, RDZV_STORE_TIMEOUT));
    CHECK_OK(rdzv_store_check(store, keys, 2, &present));
    CHECK(present);
    CHECK_OK(rdzv_store_multi_get(store, keys, 2, &list));
    CHECK_INT(list.count, 2);
    CHECK_BYTES(list.items[0], "1", 1);
    CHECK_BYTES(list.items[1], "22", 2);
    rdzv_bytes_free(&list.items[0]);
    rdzv_bytes_list_free(&list);
    rdzv_bytes_list_free(&list);
    CHECK(list.items == NULL && list.count == 0);

    CHECK_OK(rdzv_store_num_keys(store, &count));
    CHECK_OK(rdzv_store_list_keys(store, &list));
    CHECK_INT(list.count, count);
    for (size_t index = 0; index < 2; index++) {
        bool found = false;
        for (size_t item = 0; item < list.count; item++) {
            found = found || strcmp((const char*)list.items[item].data, keys[index]) == 0;
        }
        CHECK(found);
    }
    rdzv_bytes_list_free(&list);

    CHECK_OK(rdzv_store_check(store, NULL, 0, &present));
    CHECK(present);
    CHECK_OK(rdzv_store_wait(store, NULL, 0, 0));
    CHECK_OK(rdzv_store_multi_set(store, NULL, NULL, 0));
    CHECK_OK(rdzv_store_multi_get(store, NULL, 0, &list));
    CHECK_INT(list.count, 0);
    rdzv_bytes_list_free(&list);

    CHECK_NULL(rdzv_store_check(store, NULL, 1, &present), "keys");
    CHECK_NULL(rdzv_store_check(store, null_keys, 2, &present), "keys[1]");
    CHECK_NULL(rdzv_store_check(store, keys, 2, NULL), "present");
    CHECK_NULL(rdzv_store_wait(store, NULL, 1, 0), "keys");
    CHECK_NULL(rdzv_store_wait(store, null_keys, 2, 0), "keys[1]");
    CHECK_NULL(rdzv_store_multi_get(store, NULL, 1, &list), "keys");
    CHECK_NULL(rdzv_store_multi_get(store, keys, 2, NULL), "values");
    CHECK_NULL(rdzv_store_multi_set(store, NULL, values, 1), "keys");
    CHECK_NULL(rdzv_store_multi_set(store, keys, NULL, 1), "values");
    CHECK_NULL(rdzv_store_multi_set(store, keys, null_values, 2), "values[1]");
    CHECK_NULL(rdzv_store_num_keys(store, NULL), "count");
    CHECK_NULL(rdzv_store_list_keys(store, NULL), "keys");
    CHECK_STATUS(rdzv_store_check(store, keys, SIZE_MAX, &present), RDZV_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(rdzv_store_wait(store, keys, SIZE_MAX / 16, 0), RDZV_STATUS_INVALID_ARGUMENT);
}

static void queues_and_barrier(const rdzv_store* store) {
    rdzv_bytes value = {NULL, 0};
    uint64_t len = 7;

    CHECK_OK(rdzv_store_queue_len(store, "queue", &len));
    CHECK_INT(len, 0);
    CHECK_STATUS(rdzv_store_queue_pop(store, "queue", false, &value), RDZV_STATUS_NOT_FOUND);
    CHECK_OK(rdzv_store_queue_push(store, "queue", TEXT("first")));
    CHECK_OK(rdzv_store_queue_push(store, "queue", TEXT("second")));
    CHECK_OK(rdzv_store_queue_len(store, "queue", &len));
    CHECK_INT(len, 2);
    CHECK_OK(rdzv_store_queue_pop(store, "queue", true, &value));
    CHECK_BYTES(value, "first", 5);
    rdzv_bytes_free(&value);
    CHECK_OK(rdzv_store_barrier(store, "barrier", 1, RDZV_STORE_TIMEOUT));

    CHECK_NULL(rdzv_store_queue_push(store, NULL, NULL, 0), "key");
    CHECK_NULL(rdzv_store_queue_push(store, "queue", NULL, 1), "value");
    CHECK_NULL(rdzv_store_queue_pop(store, NULL, false, &value), "key");
    CHECK_NULL(rdzv_store_queue_pop(store, "queue", false, NULL), "value");
    CHECK_NULL(rdzv_store_queue_len(store, NULL, &len), "key");
    CHECK_NULL(rdzv_store_queue_len(store, "queue", NULL), "len");
    CHECK_NULL(rdzv_store_barrier(store, NULL, 1, 0), "key");
    CHECK_STATUS(rdzv_store_barrier(store, "barrier0", 0, 0), RDZV_STATUS_INVALID_ARGUMENT);
}

static void handles(const rdzv_store* store) {
    rdzv_store *other = NULL, *prefixed = NULL;
    rdzv_bytes value = {NULL, 0};
    uint64_t timeout_ms = 0;

    CHECK_OK(rdzv_store_timeout(store, &timeout_ms));
    CHECK_INT(timeout_ms, 300000);
    CHECK_OK(rdzv_store_clone(store, &other));
    CHECK_OK(rdzv_store_set_timeout(other, 1234));
    CHECK_OK(rdzv_store_timeout(other, &timeout_ms));
    CHECK_INT(timeout_ms, 1234);
    CHECK_OK(rdzv_store_timeout(store, &timeout_ms));
    CHECK_INT(timeout_ms, 300000);
    CHECK_STATUS(rdzv_store_set_timeout(other, RDZV_STORE_TIMEOUT), RDZV_STATUS_INVALID_ARGUMENT);
    CHECK_OK(rdzv_store_set_timeout(other, RDZV_STORE_TIMEOUT - 1));

    CHECK_OK(rdzv_store_with_prefix(other, "p", &prefixed));
    CHECK_OK(rdzv_store_set(prefixed, "k", TEXT("under p")));
    CHECK_OK(rdzv_store_get(store, "p/k", &value));
    CHECK_BYTES(value, "under p", 7);
    rdzv_bytes_free(&value);

    CHECK_NULL(rdzv_store_timeout(store, NULL), "timeout_ms");
    CHECK_NULL(rdzv_store_clone(store, NULL), "new_store");
    CHECK_NULL(rdzv_store_with_prefix(store, NULL, &prefixed), "prefix");
    CHECK_NULL(rdzv_store_with_prefix(store, "p", NULL), "new_store");

    rdzv_store_cancel(other);
    CHECK_STATUS(rdzv_store_get(other, "p/k", &value), RDZV_STATUS_CANCELLED);
    CHECK_OK(rdzv_store_get(store, "p/k", &value));
    rdzv_bytes_free(&value);
    rdzv_free_store(other);
    rdzv_free_store(prefixed);
}

static void count_line(int32_t level, const char* message, void* user_data) {
    CHECK(level >= RDZV_LOG_ERROR && level <= RDZV_LOG_TRACE && strchr(message, '\n') == NULL);
    *(int*)user_data += 1;
}

int main(void) {
    rdzv_backend* backend = NULL;
    rdzv_store* store = NULL;
    rdzv_bytes value = {NULL, 0};
    uint64_t token = 0;
    int lines = 0;

    CHECK_OK(rdzv_set_log_callback(RDZV_LOG_TRACE, count_line, &lines));
    fixture_start();
    fixture_connect(&backend, &store);
    server();
    state(backend);
    one_key(store);
    many_keys(store);
    queues_and_barrier(store);
    handles(store);
    CHECK(lines > 0);
    CHECK_OK(rdzv_set_log_callback(RDZV_LOG_OFF, NULL, NULL));

    rdzv_backend_cancel(backend);
    CHECK_STATUS(rdzv_get_state(backend, &value, &token), RDZV_STATUS_CANCELLED);
    rdzv_free_backend(backend);
    rdzv_free_store(store);
    fixture_stop();
    return 0;
}
