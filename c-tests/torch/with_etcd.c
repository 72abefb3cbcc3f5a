/*
 * Runs a command with an etcd of its own, whose endpoint is in RDZV_TEST_ENDPOINT then, and returns
 * what it returns; 77 where the test wants an API that this etcd does not have.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "etcd_fixture.h"

int main(int argc, char** argv) {
    int status = 0;
    pid_t child;

    CHECK(argc > 1);
    if (strcmp(fixture_api(), "v2") == 0) {
        rdzv_server_options* options = NULL;
        CHECK_OK(rdzv_create_server_options(&options));
        CHECK_OK(rdzv_server_options_set(options, "enable_v2", "true"));
        if (rdzv_start_server(options, &fixture_server) == RDZV_STATUS_UNSUPPORTED) {
            fprintf(stderr, "skipped: %s\n", rdzv_last_error_message());
            return 77;
        }
        rdzv_free_server_options(options);
    } else {
        fixture_start();
    }
    CHECK(fixture_server != NULL);
    CHECK(setenv("RDZV_TEST_ENDPOINT", fixture_endpoint(), 1) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        _exit(127);
    }
    CHECK(waitpid(child, &status, 0) == child);
    fixture_stop();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
