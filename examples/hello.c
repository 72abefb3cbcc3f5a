/*
 * The smallest use of the library: agree on a state, and exchange a value. Starts an etcd of its
 * own unless RDZV_ENDPOINT names one.
 */
#include <rdzv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(rdzv_status status) {
    if (status != RDZV_STATUS_OK) {
        fprintf(stderr, "hello: %s: %s %s\n", rdzv_status_name(status), rdzv_last_error_message(),
                rdzv_last_error_cause());
        exit(1);
    }
}

int main(void) {
    const char *endpoint = getenv("RDZV_ENDPOINT"), *state = "hello", *address = "10.0.0.1:29500";
    rdzv_server *server = NULL;
    rdzv_params *params = NULL;
    rdzv_backend *backend = NULL;
    rdzv_store *store = NULL;
    rdzv_bytes value = {NULL, 0};
    uint64_t token = 0;
    bool has_set = false;

    if (endpoint == NULL) {
        must(rdzv_start_server(NULL, &server));
        endpoint = rdzv_server_endpoint(server);
    }
    must(rdzv_create_params("etcd", endpoint, "hello", 1, 1, &params));
    must(rdzv_create_backend(params, &backend, &store));

    must(rdzv_set_state(backend, (const uint8_t *)state, strlen(state), 0, &value, &token,
                        &has_set));
    printf("%s: %s the state '%s'\n", rdzv_backend_name(backend), has_set ? "created" : "found",
           (char *)value.data);
    rdzv_bytes_free(&value);

    must(rdzv_store_set(store, "address", (const uint8_t *)address, strlen(address)));
    must(rdzv_store_get(store, "address", &value));
    printf("the address is %s\n", (char *)value.data);
    rdzv_bytes_free(&value);

    rdzv_free_store(store);
    rdzv_free_backend(backend);
    rdzv_free_params(params);
    rdzv_free_server(server);
    return 0;
}
