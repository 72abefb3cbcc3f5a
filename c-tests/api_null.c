/*
 * What needs no server: every function with NULL for every pointer, bad UTF-8, absurd numbers,
 * double frees. Each gives a status and a message that names the argument, leaves its outputs
 * alone, and never crashes.
 */
#include "check.h"

/* The call refuses the argument of this name as NULL, in its own name. */
#define CHECK_NULL(call, function, argument)                                       \
    do {                                                                           \
        CHECK_STATUS(call, RDZV_STATUS_NULL_ARGUMENT);                             \
        CHECK_INT(rdzv_last_error_status(), RDZV_STATUS_NULL_ARGUMENT);            \
        CHECK_STR(rdzv_last_error_message(),                                       \
                  "the argument '" argument "' of " function " must not be NULL"); \
        CHECK_STR(rdzv_last_error_cause(), "");                                    \
    } while (0)

/* The call refuses the argument of this name. */
#define CHECK_INVALID(call, message)                        \
    do {                                                    \
        CHECK_STATUS(call, RDZV_STATUS_INVALID_ARGUMENT);   \
        CHECK_CONTAINS(rdzv_last_error_message(), message); \
    } while (0)

#define NOT_UTF8 "caf\xe9"

static void versions_and_errors(void) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", RDZV_VERSION_MAJOR, RDZV_VERSION_MINOR,
             RDZV_VERSION_PATCH);
    CHECK_STR(rdzv_version(), version);
    CHECK_INT(rdzv_abi_version(), RDZV_ABI_VERSION);
    CHECK_STR(rdzv_status_name(RDZV_STATUS_OK), "OK");
    CHECK_STR(rdzv_status_name(RDZV_STATUS_PANIC), "PANIC");
    CHECK_STR(rdzv_status_name(INT32_MIN), "UNRECOGNIZED");
    CHECK_INT(rdzv_last_error_status(), RDZV_STATUS_OK);
    CHECK_STR(rdzv_last_error_message(), "");
    CHECK_STR(rdzv_last_error_cause(), "");
}

static void frees_and_getters(void) {
    rdzv_bytes bytes = {NULL, 0};
    rdzv_bytes_list list = {NULL, 0};
    for (int round = 0; round < 2; round++) {
        rdzv_bytes_free(NULL);
        rdzv_bytes_free(&bytes);
        rdzv_bytes_list_free(NULL);
        rdzv_bytes_list_free(&list);
        rdzv_free_params(NULL);
        rdzv_free_backend(NULL);
        rdzv_free_store(NULL);
        rdzv_free_server_options(NULL);
        rdzv_free_server(NULL);
        rdzv_backend_cancel(NULL);
        rdzv_store_cancel(NULL);
    }
    CHECK_STR(rdzv_backend_name(NULL), "");
    CHECK_STR(rdzv_server_endpoint(NULL), "");
    CHECK_STR(rdzv_server_host(NULL), "");
    CHECK_STR(rdzv_server_version(NULL), "");
    CHECK_INT(rdzv_server_port(NULL), 0);
    CHECK_INT(rdzv_last_error_status(), RDZV_STATUS_OK);
    CHECK_STR(rdzv_last_error_message(), "");
}

static void null_handles(void) {
    rdzv_bytes bytes = {NULL, 7};
    rdzv_bytes_list list = {NULL, 7};
    rdzv_store* store = (rdzv_store*)&bytes;
    rdzv_backend* backend = (rdzv_backend*)&bytes;
    uint64_t number = 7;
    int64_t sum = 7;
    bool flag = true;
    const char* keys[] = {"k"};

    CHECK_NULL(rdzv_params_set(NULL, "k", "v"), "rdzv_params_set", "params");
    CHECK_NULL(rdzv_params_set_config(NULL, "k=v"), "rdzv_params_set_config", "params");
    CHECK_NULL(rdzv_params_unset(NULL, "k"), "rdzv_params_unset", "params");
    CHECK_NULL(rdzv_params_get(NULL, "k", &bytes), "rdzv_params_get", "params");
    CHECK_NULL(rdzv_create_backend(NULL, &backend, &store), "rdzv_create_backend", "params");
    CHECK_NULL(rdzv_get_state(NULL, &bytes, &number), "rdzv_get_state", "backend");
    CHECK_NULL(rdzv_set_state(NULL, NULL, 0, 0, &bytes, &number, &flag), "rdzv_set_state",
               "backend");
    CHECK_NULL(rdzv_store_set(NULL, "k", NULL, 0), "rdzv_store_set", "store");
    CHECK_NULL(rdzv_store_get(NULL, "k", &bytes), "rdzv_store_get", "store");
    CHECK_NULL(rdzv_store_add(NULL, "k", 1, &sum), "rdzv_store_add", "store");
    CHECK_NULL(rdzv_store_wait(NULL, keys, 1, 0), "rdzv_store_wait", "store");
    CHECK_NULL(rdzv_store_check(NULL, keys, 1, &flag), "rdzv_store_check", "store");
    CHECK_NULL(rdzv_store_compare_set(NULL, "k", NULL, 0, NULL, 0, &bytes),
               "rdzv_store_compare_set", "store");
    CHECK_NULL(rdzv_store_delete_key(NULL, "k", &flag), "rdzv_store_delete_key", "store");
    CHECK_NULL(rdzv_store_num_keys(NULL, &number), "rdzv_store_num_keys", "store");
    CHECK_NULL(rdzv_store_append(NULL, "k", NULL, 0), "rdzv_store_append", "store");
    CHECK_NULL(rdzv_store_multi_get(NULL, keys, 1, &list), "rdzv_store_multi_get", "store");
    CHECK_NULL(rdzv_store_multi_set(NULL, keys, &bytes, 1), "rdzv_store_multi_set", "store");
    CHECK_NULL(rdzv_store_list_keys(NULL, &list), "rdzv_store_list_keys", "store");
    CHECK_NULL(rdzv_store_queue_push(NULL, "k", NULL, 0), "rdzv_store_queue_push", "store");
    CHECK_NULL(rdzv_store_queue_pop(NULL, "k", false, &bytes), "rdzv_store_queue_pop", "store");
    CHECK_NULL(rdzv_store_queue_len(NULL, "k", &number), "rdzv_store_queue_len", "store");
    CHECK_NULL(rdzv_store_barrier(NULL, "k", 1, 0), "rdzv_store_barrier", "store");
    CHECK_NULL(rdzv_store_set_timeout(NULL, 1), "rdzv_store_set_timeout", "store");
    CHECK_NULL(rdzv_store_timeout(NULL, &number), "rdzv_store_timeout", "store");
    CHECK_NULL(rdzv_store_clone(NULL, &store), "rdzv_store_clone", "store");
    CHECK_NULL(rdzv_store_with_prefix(NULL, "p", &store), "rdzv_store_with_prefix", "store");
    CHECK_NULL(rdzv_server_options_set(NULL, "k", "v"), "rdzv_server_options_set", "options");
    CHECK_NULL(rdzv_stop_server(NULL), "rdzv_stop_server", "server");
    CHECK_NULL(rdzv_create_server_options(NULL), "rdzv_create_server_options", "options");
    CHECK_NULL(rdzv_start_server(NULL, NULL), "rdzv_start_server", "server");

    CHECK(bytes.data == NULL && bytes.len == 7 && list.items == NULL && list.count == 7);
    CHECK(number == 7 && sum == 7 && flag);
    CHECK((void*)store == &bytes && (void*)backend == &bytes);
}

static void parameters(void) {
    rdzv_params* params = NULL;
    rdzv_backend* backend = NULL;
    rdzv_store* store = NULL;
    rdzv_bytes value = {NULL, 7};

    CHECK_NULL(rdzv_create_params(NULL, "", "run", 1, 1, &params), "rdzv_create_params", "backend");
    CHECK_NULL(rdzv_create_params("b", "", NULL, 1, 1, &params), "rdzv_create_params", "run_id");
    CHECK_NULL(rdzv_create_params("b", "", "run", 1, 1, NULL), "rdzv_create_params", "params");
    CHECK_INVALID(rdzv_create_params(NOT_UTF8, "", "run", 1, 1, &params),
                  "'backend' of rdzv_create_params is not valid UTF-8");
    CHECK_INVALID(rdzv_create_params("b", NOT_UTF8, "run", 1, 1, &params),
                  "'endpoint' of rdzv_create_params is not valid UTF-8");
    CHECK_INVALID(rdzv_create_params("b", "", NOT_UTF8, 1, 1, &params),
                  "'run_id' of rdzv_create_params is not valid UTF-8");
    CHECK_INVALID(rdzv_create_params("b", NULL, "run", INT64_MIN, 1, &params),
                  "(-9223372036854775808)");
    CHECK_INVALID(rdzv_create_params("b", NULL, "run", 0, 0, &params), "must be greater than zero");
    CHECK_INVALID(rdzv_create_params("b", NULL, "run", INT64_MAX, 1, &params),
                  "(9223372036854775807)");
    CHECK(params == NULL);

    CHECK_OK(rdzv_create_params("b", NULL, "run", 1, INT64_MAX, &params));
    CHECK_NULL(rdzv_params_set(params, NULL, "v"), "rdzv_params_set", "key");
    CHECK_NULL(rdzv_params_set(params, "k", NULL), "rdzv_params_set", "value");
    CHECK_INVALID(rdzv_params_set(params, NOT_UTF8, "v"),
                  "'key' of rdzv_params_set is not valid UTF-8");
    CHECK_INVALID(rdzv_params_set(params, "k", NOT_UTF8),
                  "'value' of rdzv_params_set is not valid UTF-8");
    CHECK_NULL(rdzv_params_set_config(params, NULL), "rdzv_params_set_config", "config");
    CHECK_INVALID(rdzv_params_set_config(params, NOT_UTF8),
                  "'config' of rdzv_params_set_config is not valid UTF-8");
    CHECK_NULL(rdzv_params_unset(params, NULL), "rdzv_params_unset", "key");
    CHECK_INVALID(rdzv_params_unset(params, NOT_UTF8),
                  "'key' of rdzv_params_unset is not valid UTF-8");
    CHECK_NULL(rdzv_params_get(params, NULL, &value), "rdzv_params_get", "key");
    CHECK_NULL(rdzv_params_get(params, "k", NULL), "rdzv_params_get", "value");
    CHECK_INVALID(rdzv_params_get(params, NOT_UTF8, &value),
                  "'key' of rdzv_params_get is not valid UTF-8");
    CHECK_NULL(rdzv_create_backend(params, NULL, &store), "rdzv_create_backend", "backend");
    CHECK_NULL(rdzv_create_backend(params, &backend, NULL), "rdzv_create_backend", "store");
    CHECK(value.data == NULL && value.len == 7 && backend == NULL && store == NULL);

    /* Absence is no failure: the message of the last one stays. */
    CHECK_STATUS(rdzv_params_get(params, "k", &value), RDZV_STATUS_NOT_FOUND);
    CHECK_INT(rdzv_last_error_status(), RDZV_STATUS_NULL_ARGUMENT);
    CHECK_OK(rdzv_params_set(params, "k", "v\xc3\xa9"));
    CHECK_OK(rdzv_params_get(params, "k", &value));
    CHECK_BYTES(value, "v\xc3\xa9", 3);
    rdzv_bytes_free(&value);
    rdzv_bytes_free(&value);
    CHECK(value.data == NULL && value.len == 0);
    CHECK_OK(rdzv_params_set_config(params, "k=1,other=2"));
    CHECK_OK(rdzv_params_unset(params, "k"));
    CHECK_OK(rdzv_params_unset(params, "k"));
    CHECK_STATUS(rdzv_params_get(params, "k", &value), RDZV_STATUS_NOT_FOUND);
    rdzv_free_params(params);
}

static void server_options(void) {
    rdzv_server_options* options = NULL;
    CHECK_OK(rdzv_create_server_options(&options));
    CHECK_OK(rdzv_server_options_set(options, "attempts", "1"));
    CHECK_NULL(rdzv_server_options_set(options, NULL, "v"), "rdzv_server_options_set", "key");
    CHECK_NULL(rdzv_server_options_set(options, "host", NULL), "rdzv_server_options_set", "value");
    CHECK_INVALID(rdzv_server_options_set(options, NOT_UTF8, "v"),
                  "'key' of rdzv_server_options_set is not valid UTF-8");
    CHECK_INVALID(rdzv_server_options_set(options, "host", NOT_UTF8),
                  "'value' of rdzv_server_options_set is not valid UTF-8");
    CHECK_STATUS(rdzv_server_options_set(options, "no such option", "1"),
                 RDZV_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(rdzv_server_options_set(options, "port", "99999999999999999999"),
                 RDZV_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(rdzv_server_options_set(options, "attempts", "-1"), RDZV_STATUS_INVALID_ARGUMENT);
    CHECK_NULL(rdzv_start_server(options, NULL), "rdzv_start_server", "server");
    rdzv_free_server_options(options);
}

static void never_called(int32_t level, const char* message, void* user_data) {
    (void)user_data;
    fprintf(stderr, "a log line at level %d: %s\n", (int)level, message);
    exit(1);
}

static void logging(void) {
    CHECK_INVALID(rdzv_set_log_callback(-1, never_called, NULL),
                  "'level' of rdzv_set_log_callback");
    CHECK_INVALID(rdzv_set_log_callback(INT32_MAX, NULL, NULL), "'level' of rdzv_set_log_callback");
    CHECK_OK(rdzv_set_log_callback(RDZV_LOG_OFF, never_called, NULL));
    CHECK_OK(rdzv_set_log_callback(RDZV_LOG_TRACE, never_called, NULL));
    CHECK_OK(rdzv_set_log_callback(RDZV_LOG_TRACE, NULL, NULL));
}

int main(void) {
    versions_and_errors();
    frees_and_getters();
    null_handles();
    parameters();
    server_options();
    logging();
    return 0;
}
