# The shared library, with TLS in it and without its symbols for debuggers, has at most 3 MB.

set(stripped "${OUTPUT}/librdzv.stripped.so")
execute_process(COMMAND "${STRIP}" -o "${stripped}" "${LIBRARY}" COMMAND_ERROR_IS_FATAL ANY)
file(SIZE "${stripped}" size)
file(REMOVE "${stripped}")
if(size GREATER 3000000)
  message(FATAL_ERROR "the stripped library has ${size} bytes")
endif()
message(STATUS "${size} bytes")
