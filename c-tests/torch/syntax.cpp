// The adaptor compiles against these headers, and leaves no virtual function of this libtorch's
// c10d::Store open. For the helpers for Gloo, whose headers no wheel has, those of libgloo-dev
// stand in.
#define USE_C10D_GLOO
#include <rdzv/c10d_store.hpp>
//
#include <rdzv/c10d_gloo.hpp>
#include <type_traits>

static_assert(!std::is_abstract_v<rdzv::C10dStore>);

c10::intrusive_ptr<c10d::Store> store_of(rdzv::Store store) {
    auto c10d = c10::make_intrusive<rdzv::C10dStore>(std::move(store));
    c10d->set("key", std::vector<std::uint8_t>());
#if TORCH_VERSION_MAJOR >= 2
    c10d->set("key", "text");
#endif
#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 212
    c10d->barrier("barrier", 1);
#endif
    return c10d;
}

c10::intrusive_ptr<c10d::ProcessGroupGloo> group_of(rdzv::Store store) {
    return rdzv::make_gloo_group(std::move(store), 0, 1, "lo", std::chrono::seconds(1));
}
