# What cmake --install puts under a prefix is all that a project needs, also after the prefix was moved.

include("${CMAKE_CURRENT_LIST_DIR}/use_package.cmake")

file(REMOVE_RECURSE "${WORK}")
run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${WORK}/first")
file(RENAME "${WORK}/first" "${WORK}/moved")

foreach(file include/rdzv.h include/rdzv.hpp include/rdzv/c10d_store.hpp ${LIBDIR}/librdzv.a ${LIBDIR}/pkgconfig/rdzv.pc)
  if(NOT EXISTS "${WORK}/moved/${file}")
    message(FATAL_ERROR "${file} is not installed")
  endif()
endforeach()
file(READ_SYMLINK "${WORK}/moved/${LIBDIR}/librdzv.so" soname)
file(READ_SYMLINK "${WORK}/moved/${LIBDIR}/${soname}" real)
run("${READELF}" -d "${WORK}/moved/${LIBDIR}/${real}")
if(NOT output MATCHES "\\(SONAME\\)[^\n]*\\[${soname}\\]")
  message(FATAL_ERROR "librdzv.so points to ${soname}, which is not the soname:\n${output}")
endif()
file(GLOB_RECURSE texts "${WORK}/moved/*.cmake" "${WORK}/moved/*.pc")
foreach(text IN LISTS texts)
  file(READ "${text}" content)
  if(content MATCHES "${WORK}|${BUILD}")
    message(FATAL_ERROR "${text} names the place where it was made:\n${content}")
  endif()
endforeach()

use_package("${WORK}/use" "${WORK}/moved" "${WORK}/moved/${LIBDIR}")

# Another minor version is not what was asked for.
file(WRITE "${WORK}/newer/CMakeLists.txt"
  "cmake_minimum_required(VERSION 3.21)\nproject(newer LANGUAGES C)\nfind_package(rdzv 0.99 REQUIRED)\n")
execute_process(COMMAND "${CMAKE_COMMAND}" -S "${WORK}/newer" -B "${WORK}/newer/build"
  "-DCMAKE_PREFIX_PATH=${WORK}/moved" RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE error)
if(NOT result OR NOT error MATCHES "0\\.99")
  message(FATAL_ERROR "find_package(rdzv 0.99) takes ${WORK}/moved: ${error}")
endif()
file(REMOVE_RECURSE "${WORK}")
