# Makes the static library that is installed out of the one that cargo builds.
#
# cargo's archive defines thousands of global symbols, among them those of Rust's standard library and of ring, which
# clash with another Rust library or another ring in the same program. Here all of it becomes one object, in which only
# the rdzv_* functions stay global.
#
#   cmake -D ARCHIVE=… -D SHARED=… -D OUTPUT=… -D LD=… -D OBJCOPY=… -D AR=… -D NM=… -D STRIP_DEBUG=ON|OFF -P localise.cmake
#
# ARCHIVE and SHARED are what cargo has built; the functions are those that SHARED exports.

execute_process(COMMAND "${NM}" -D --defined-only --format=posix "${SHARED}"
  OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "rdzv_[a-z0-9_]+ T" functions "${symbols}")
list(TRANSFORM functions REPLACE " T$" "")
if(NOT functions)
  message(FATAL_ERROR "${SHARED} exports no function rdzv_*")
endif()

cmake_path(REPLACE_EXTENSION OUTPUT LAST_ONLY o OUTPUT_VARIABLE object)
list(JOIN functions "\n" lines)
file(WRITE "${object}.symbols" "${lines}\n")
list(TRANSFORM functions PREPEND "--undefined=" OUTPUT_VARIABLE roots)
set(strip)
if(STRIP_DEBUG)
  set(strip --strip-debug)
endif()

# A group whose name another object has, too, would be dropped in favour of that one's: so there must be none.
execute_process(COMMAND "${LD}" -r --gc-sections --force-group-allocation ${roots} -o "${object}" "${ARCHIVE}"
  COMMAND_ERROR_IS_FATAL ANY)
# The bitcode that rustc puts beside the code is of no use, and joined it is what LLVM's plugin for binutils dies of.
execute_process(COMMAND "${OBJCOPY}" ${strip} --remove-section=.llvmbc --remove-section=.llvmcmd
  "--keep-global-symbols=${object}.symbols" "${object}" COMMAND_ERROR_IS_FATAL ANY)
file(REMOVE "${OUTPUT}")
execute_process(COMMAND "${AR}" rcsD "${OUTPUT}" "${object}" COMMAND_ERROR_IS_FATAL ANY)
file(REMOVE "${object}" "${object}.symbols")
