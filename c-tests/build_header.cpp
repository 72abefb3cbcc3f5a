// The header compiles alone as C++, and its functions link as C's.
#include <rdzv.h>

#include <type_traits>

static_assert(sizeof(rdzv_bytes) == 2 * sizeof(void*), "rdzv_bytes is frozen");

#include <rdzv.h>

static_assert(sizeof(rdzv_status) == sizeof(int32_t), "a status is an int32_t");
static_assert(std::is_standard_layout<rdzv_bytes>::value, "rdzv_bytes is C's");
static_assert(RDZV_STORE_TIMEOUT == ~uint64_t{0}, "the special timeout is the largest number");

int main() {
    rdzv_status status = rdzv_last_error_status();
    const char* name = rdzv_status_name(status);
    return status == RDZV_STATUS_OK && name[0] == 'O' ? 0 : 1;
}
