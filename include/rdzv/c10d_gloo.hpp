// A ProcessGroupGloo over rdzv::C10dStore, with a network address that is chosen rather than
// guessed.
//
// libtorch's own options have no device, without which the group cannot be made, and its default
// device ignores GLOO_SOCKET_IFNAME and falls back to the loopback where the host's name does not
// resolve, so that hosts do not find each other. Needs Gloo's headers (libgloo-dev) and
// USE_C10D_GLOO, which libtorch's CMake package defines.
#ifndef RDZV_C10D_GLOO_HPP
#define RDZV_C10D_GLOO_HPP

#include <net/if.h>

#include <cstdlib>
#include <rdzv/c10d_store.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

namespace rdzv {

/// Options for a group that talks over `where`: an interface of this host, such as "eth0", or else
/// its name or address.
/// "" stands for GLOO_SOCKET_IFNAME, and where that is not set for what the host's name resolves
/// to. Throws as libtorch does for what is not there.
inline c10::intrusive_ptr<::c10d::ProcessGroupGloo::Options> gloo_options(
    std::string where = "", std::chrono::milliseconds timeout = std::chrono::minutes(30)) {
    using Group = ::c10d::ProcessGroupGloo;
    if (where.empty()) {
        const char* name = std::getenv("GLOO_SOCKET_IFNAME");
        where = name == nullptr ? "" : name;
    }
    auto options = Group::Options::create(timeout);
    if (where.empty()) {
        options->devices.push_back(Group::createDefaultDevice());
    } else if (if_nametoindex(where.c_str()) != 0) {
        options->devices.push_back(Group::createDeviceForInterface(where));
    } else {
        options->devices.push_back(Group::createDeviceForHostname(where));
    }
    return options;
}

/// The group of `size` processes that meet in `store`, of which this is number `rank`. Waits for
/// the others, for at most `timeout`, which also bounds each collective.
inline c10::intrusive_ptr<::c10d::ProcessGroupGloo> make_gloo_group(
    rdzv::Store store, int rank, int size, const std::string& where = "",
    std::chrono::milliseconds timeout = std::chrono::minutes(30)) {
    return c10::make_intrusive<::c10d::ProcessGroupGloo>(
        c10::make_intrusive<C10dStore>(std::move(store)), rank, size, gloo_options(where, timeout));
}

}  // namespace rdzv

#endif
