# What examples and tests need that run on libtorch: libtorch-dev and libgloo-dev, for the Python module and the tests
# with PyTorch also python3-torch, python3-etcd, python3-dev and pybind11-dev.

find_package(Torch REQUIRED)
add_library(rdzv_torch INTERFACE)
target_link_libraries(rdzv_torch INTERFACE "${TORCH_LIBRARIES}")
if(Torch_VERSION VERSION_GREATER_EQUAL 2.14)
  target_compile_features(rdzv_torch INTERFACE cxx_std_20)
else()
  target_compile_features(rdzv_torch INTERFACE cxx_std_17)
endif()

# Debian's own Python: another one that comes first in PATH has no torch.
find_program(RDZV_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(RDZV_PYTHON_CONFIG python3-config PATHS /usr/bin NO_DEFAULT_PATH)
find_library(RDZV_TORCH_PYTHON torch_python PATHS "${TORCH_INSTALL_PREFIX}/lib")
