#include <rdzv.hpp>

std::string version_elsewhere() {
    return rdzv::version();
}
