// A Python module whose stores Python's process groups run on:
//
//   import torch.distributed as dist, rdzv_torch
//   store = rdzv_torch.store("localhost:2379", "my_run", "api=v3,store_timeout=60")
//   dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
//
// It registers no class: what store() returns is a torch.distributed.Store. Compile it against the
// libtorch that Python imports, with pybind11 of the same internals.
#include <torch/csrc/utils/pybind.h>

#include <rdzv/c10d_store.hpp>

namespace {

// The store of the run `run_id`, whose keys are apart from those of other runs. `options` reads
// "key=value,…".
c10::intrusive_ptr<c10d::Store> store(const std::string& endpoint, const std::string& run_id,
                                      const std::string& options) {
    const pybind11::gil_scoped_release release;
    rdzv::Params params("etcd", endpoint, run_id, 1, 1);
    params.set_config(options);
    return c10::make_intrusive<rdzv::C10dStore>(
        rdzv::create_backend(params).store.with_prefix(run_id));
}

}  // namespace

PYBIND11_MODULE(rdzv_torch, module) {
    // torch registers the class that store() returns.
    pybind11::module_::import("torch.distributed");
    pybind11::register_exception<rdzv::Error>(module, "Error", PyExc_RuntimeError);
    module.def("store", &store, pybind11::arg("endpoint"), pybind11::arg("run_id"),
               pybind11::arg("options") = "");
}
