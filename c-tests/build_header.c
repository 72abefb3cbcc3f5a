/* The header compiles alone, before any other, twice, and links from two files. */
#include <rdzv.h>

int build_header_again(void);

#include <rdzv.h>

int main(void) {
    return rdzv_abi_version() == RDZV_ABI_VERSION && build_header_again() == 0 ? 0 : 1;
}
