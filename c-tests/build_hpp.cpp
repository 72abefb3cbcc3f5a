// rdzv.hpp stands alone, in two translation units.
#include <rdzv.hpp>

std::string version_elsewhere();

int main() {
    return version_elsewhere() == rdzv::version() ? 0 : 1;
}
