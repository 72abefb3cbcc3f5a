/* The second file that includes the header, in a program with build_header.c. */
#include <rdzv.h>

int build_header_again(void);

int build_header_again(void) {
    rdzv_bytes bytes = {0};
    rdzv_bytes_free(&bytes);
    return (int)sizeof(rdzv_status) - 4;
}
