# The Debian packages: built, installed, used and removed. Without root, or where packages of these names are installed
# already, they are unpacked instead of installed.

include("${CMAKE_CURRENT_LIST_DIR}/use_package.cmake")

file(REMOVE_RECURSE "${WORK}")
# As a packager builds it; what cargo has built is used again.
run("${CMAKE_COMMAND}" -S "${SOURCE}" -B "${WORK}/build" -DCMAKE_INSTALL_PREFIX=/usr "-DCMAKE_BUILD_TYPE=${BUILD_TYPE}"
  "-DRDZV_CARGO_DIR=${CARGO_DIR}" "-DCMAKE_C_COMPILER=${CC}" "-DCMAKE_CXX_COMPILER=${CXX}"
  -DRDZV_BUILD_TESTS=OFF -DRDZV_BUILD_EXAMPLES=OFF)
run("${CMAKE_COMMAND}" --build "${WORK}/build")
run("${CPACK}" -G DEB --config "${WORK}/build/CPackConfig.cmake" -B "${WORK}")
file(GLOB runtime "${WORK}/librdzv[0-9]*_*.deb")
file(GLOB development "${WORK}/librdzv-dev_*.deb")
foreach(package IN ITEMS "${runtime}" "${development}")
  if(NOT package)
    message(FATAL_ERROR "CPack made not both packages")
  endif()
  run("${DPKG_DEB}" --info "${package}")
  message(STATUS "${output}")
  run("${DPKG_DEB}" --contents "${package}")
  message(STATUS "${output}")
endforeach()
run("${DPKG_DEB}" --field "${runtime}" Package)
set(runtime_name "${output}")
run("${DPKG_DEB}" --field "${runtime}" Depends)
if(NOT output MATCHES "libc6 \\(>= ")
  message(FATAL_ERROR "the runtime package depends on '${output}'")
endif()

execute_process(COMMAND "${DPKG_DEB}" --ctrl-tarfile "${runtime}" COMMAND tar -t OUTPUT_VARIABLE control)
if(NOT control MATCHES "/shlibs\n")
  message(FATAL_ERROR "the runtime package does not say how to depend on it: ${control}")
endif()

# One such test at a time on one machine.
file(LOCK "/tmp/rdzv-deb-test.lock" GUARD PROCESS TIMEOUT 200)
execute_process(COMMAND id -u OUTPUT_VARIABLE uid OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND dpkg-query -W "${runtime_name}" librdzv-dev RESULT_VARIABLE absent OUTPUT_QUIET ERROR_QUIET)
if(uid STREQUAL "0" AND absent)
  run(dpkg -i "${runtime}" "${development}")
  # Whatever fails from here on, the packages go.
  execute_process(COMMAND "${CMAKE_COMMAND}" -D "WORK=${WORK}" -D "CC=${CC}" -D "CXX=${CXX}" -D "READELF=${READELF}"
    -D "PKG_CONFIG=${PKG_CONFIG}" -D "LIBDIR=/usr/${LIBDIR}" -P "${CMAKE_CURRENT_LIST_DIR}/use_system_package.cmake"
    RESULT_VARIABLE used COMMAND_ECHO NONE)
  run(dpkg --purge librdzv-dev "${runtime_name}")
  if(used)
    message(FATAL_ERROR "the installed packages are of no use: ${used}")
  endif()
  file(GLOB_RECURSE left "/usr/${LIBDIR}/librdzv*" /usr/include/rdzv*)
  if(left)
    message(FATAL_ERROR "left behind: ${left}")
  endif()
else()
  message(STATUS "not root, or installed already: the packages are unpacked, not installed")
  run("${DPKG_DEB}" -x "${runtime}" "${WORK}/root")
  run("${DPKG_DEB}" -x "${development}" "${WORK}/root")
  use_package("${WORK}/use" "${WORK}/root/usr" "${WORK}/root/usr/${LIBDIR}")
endif()
file(REMOVE_RECURSE "${WORK}")
