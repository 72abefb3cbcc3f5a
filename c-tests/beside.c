/* Two Rust libraries in one program: both are called. */
#include <rdzv.h>
#include <stdio.h>

uint64_t beside_sum(uint64_t count);

int main(void) {
    rdzv_params *params = NULL;
    rdzv_backend *backend = NULL;
    rdzv_store *store = NULL;
    rdzv_status status;

    if (rdzv_create_params("etcd", "127.0.0.1:1", "run", 1, 1, &params) != RDZV_STATUS_OK ||
        rdzv_params_set(params, "reconnect_timeout", "1") != RDZV_STATUS_OK) {
        return 1;
    }
    status = rdzv_create_backend(params, &backend, &store);
    rdzv_free_params(params);
    if (status != RDZV_STATUS_CONNECTION || beside_sum(100) != 4950) {
        fprintf(stderr, "%s: %s\n", rdzv_status_name(status), rdzv_last_error_message());
        return 1;
    }
    return 0;
}
