include("${CMAKE_CURRENT_LIST_DIR}/use_package.cmake")
use_package("${WORK}/use" "" "${LIBDIR}")
