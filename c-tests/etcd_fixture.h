/*
 * The etcd of an int_ test: the library's own server on a free port, one for each test process,
 * gone with it.
 *
 *   RDZV_ETCD_BINARY   which etcd (else what rdzv_start_server() finds)
 *   RDZV_TEST_API      which API the clients use: auto (default), v2, or v3, for which the server has no v2
 */
#ifndef RDZV_TESTS_ETCD_FIXTURE_H
#define RDZV_TESTS_ETCD_FIXTURE_H

#include "check.h"

static rdzv_server* fixture_server = NULL;

/* The API that the test is to use: "auto", "v2" or "v3". */
static inline const char* fixture_api(void) {
    const char* api = getenv("RDZV_TEST_API");
    return api == NULL || api[0] == '\0' ? "auto" : api;
}

/* Starts the server. */
static inline void fixture_start(void) {
    rdzv_server_options* options = NULL;
    CHECK(fixture_server == NULL);
    CHECK_OK(rdzv_create_server_options(&options));
    if (strcmp(fixture_api(), "auto") != 0) {
        CHECK_OK(rdzv_server_options_set(options, "enable_v2", strcmp(fixture_api(), "v2") == 0 ? "true" : "false"));
    }
    CHECK_OK(rdzv_start_server(options, &fixture_server));
    rdzv_free_server_options(options);
}

/* Ends the test as skipped, with the reason. */
#define SKIPPED 77
static inline int fixture_skip(const char *reason) {
    fprintf(stderr, "skipped: %s\n", reason);
    return SKIPPED;
}

/* Stops the server. */
static inline void fixture_stop(void) {
    CHECK_OK(rdzv_stop_server(fixture_server));
    rdzv_free_server(fixture_server);
    fixture_server = NULL;
}

/* host:port of the server. */
static inline const char* fixture_endpoint(void) {
    return rdzv_server_endpoint(fixture_server);
}

/* Parameters that reach the server; free them with rdzv_free_params(). */
static inline rdzv_params* fixture_params(const char* run_id) {
    rdzv_params* params = NULL;
    CHECK_OK(rdzv_create_params("etcd", fixture_endpoint(), run_id, 1, 4, &params));
    CHECK_OK(rdzv_params_set(params, "api", fixture_api()));
    return params;
}

/* A backend of the run id and a store; free both. */
static inline void fixture_connect_run(const char* run_id, rdzv_backend** backend,
                                       rdzv_store** store) {
    rdzv_params* params = fixture_params(run_id);
    CHECK_OK(rdzv_create_backend(params, backend, store));
    rdzv_free_params(params);
}

/* A backend and a store of the run "dummy_run"; free both. */
static inline void fixture_connect(rdzv_backend** backend, rdzv_store** store) {
    fixture_connect_run("dummy_run", backend, store);
}

#endif
