# The static library defines nothing but rdzv_*, and links beside another Rust library, all of both taken in.

execute_process(COMMAND "${NM}" -g --defined-only --format=posix "${STATIC}" OUTPUT_VARIABLE symbols
  COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^ \n]+ [A-Zuvw] " defined "${symbols}")
list(LENGTH defined count)
list(FILTER defined EXCLUDE REGEX "^rdzv_[a-z0-9_]+ T $")
if(defined OR count LESS 40)
  message(FATAL_ERROR "of ${count} global symbols these are not rdzv_*: ${defined}")
endif()

file(MAKE_DIRECTORY "${WORK}")
execute_process(COMMAND "${RUSTC}" --edition 2024 -O --crate-type staticlib -o "${WORK}/libbeside.a"
  "${CMAKE_CURRENT_LIST_DIR}/beside.rs" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${CC}" "-I${INCLUDE}" "${CMAKE_CURRENT_LIST_DIR}/beside.c"
  -Wl,--whole-archive "${STATIC}" "${WORK}/libbeside.a" -Wl,--no-whole-archive ${SYSTEM_LIBS} -o "${WORK}/beside"
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${WORK}/beside" COMMAND_ERROR_IS_FATAL ANY)
