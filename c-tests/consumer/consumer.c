/* Starts an etcd, sets a key and reads it back. */
#include <rdzv.h>
#include <stdio.h>
#include <string.h>

static int failed(void) {
    fprintf(stderr, "%s (%s)\n", rdzv_last_error_message(), rdzv_last_error_cause());
    return 1;
}

int main(void) {
    rdzv_server *server = NULL;
    rdzv_params *params = NULL;
    rdzv_backend *backend = NULL;
    rdzv_store *store = NULL;
    rdzv_bytes value = {NULL, 0};
    int wrong;

    if (rdzv_start_server(NULL, &server) != RDZV_STATUS_OK ||
        rdzv_create_params("etcd", rdzv_server_endpoint(server), "run", 1, 1, &params) !=
            RDZV_STATUS_OK ||
        rdzv_create_backend(params, &backend, &store) != RDZV_STATUS_OK ||
        rdzv_store_set(store, "key", (const uint8_t *)"value", 5) != RDZV_STATUS_OK ||
        rdzv_store_get(store, "key", &value) != RDZV_STATUS_OK) {
        return failed();
    }
    wrong =
        rdzv_abi_version() != RDZV_ABI_VERSION || strcmp((const char *)value.data, "value") != 0;
    rdzv_bytes_free(&value);
    rdzv_free_store(store);
    rdzv_free_backend(backend);
    rdzv_free_params(params);
    rdzv_free_server(server);
    return wrong;
}
