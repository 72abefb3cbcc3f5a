/* What the library costs its process: no threads, and few requests until the first result. */
#include <dirent.h>

#include "etcd_fixture.h"

static int threads(void) {
    int count = 0;
    DIR* tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    for (struct dirent* entry; (entry = readdir(tasks)) != NULL;) count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static void count_request(int32_t level, const char* line, void* user_data) {
    (void)line;
    if (level == RDZV_LOG_TRACE) ++*(int*)user_data;
}

static void few_requests_until_the_first_result(void) {
    int requests = 0;
    rdzv_backend* backend = NULL;
    rdzv_store* store = NULL;
    rdzv_bytes state = {0};
    uint64_t token = 0;
    CHECK_OK(rdzv_set_log_callback(RDZV_LOG_TRACE, count_request, &requests));
    fixture_connect_run("weight", &backend, &store);
    CHECK_STATUS(rdzv_get_state(backend, &state, &token), RDZV_STATUS_NOT_FOUND);
    CHECK_OK(rdzv_set_log_callback(RDZV_LOG_OFF, NULL, NULL));
    CHECK(requests >= 2 && requests <= 3);
    rdzv_free_store(store);
    rdzv_free_backend(backend);
}

static void no_call_starts_a_thread(void) {
    const uint8_t value[] = "1";
    const char* keys[] = {"weight/a", "weight/b"};
    const char* missing = "weight/missing";
    const int before = threads();
    rdzv_backend* backend = NULL;
    rdzv_store* store = NULL;
    rdzv_bytes bytes = {0};
    rdzv_bytes_list list = {0};
    uint64_t token = 0;
    bool flag = false;
    int64_t sum = 0;
    fixture_connect_run("threads", &backend, &store);
    CHECK_INT(threads(), before);
    CHECK_OK(rdzv_set_state(backend, value, 1, 0, &bytes, &token, &flag));
    rdzv_bytes_free(&bytes);
    CHECK_OK(rdzv_get_state(backend, &bytes, &token));
    rdzv_bytes_free(&bytes);
    for (size_t i = 0; i < 2; ++i) CHECK_OK(rdzv_store_set(store, keys[i], value, 1));
    CHECK_OK(rdzv_store_add(store, "weight/sum", 1, &sum));
    CHECK_OK(rdzv_store_multi_get(store, keys, 2, &list));
    rdzv_bytes_list_free(&list);
    CHECK_OK(rdzv_store_queue_push(store, "weight/queue", value, 1));
    CHECK_STATUS(rdzv_store_wait(store, &missing, 1, 50), RDZV_STATUS_TIMEOUT);
    CHECK_INT(threads(), before);
    rdzv_free_store(store);
    rdzv_free_backend(backend);
    CHECK_INT(threads(), before);
}

int main(void) {
    fixture_start();
    few_requests_until_the_first_result();
    no_call_starts_a_thread();
    fixture_stop();
    return 0;
}
