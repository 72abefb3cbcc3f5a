# Syntax-checks the adaptor against the headers of one libtorch, which scripts/torch-headers.sh fetches where they are
# not there yet.

set(standard 17)
if(VERSION VERSION_GREATER_EQUAL 2.14)
  set(standard 20)
endif()
set(headers "${CACHE}/${VERSION}/include")
execute_process(COMMAND "${FETCH}" "${VERSION}" RESULT_VARIABLE result)
if(result)
  message(FATAL_ERROR "the headers of torch ${VERSION} cannot be had")
endif()
execute_process(COMMAND "${CXX}" -std=c++${standard} -fsyntax-only -Wall -Wextra -Werror -Wsuggest-override
  "-I${INCLUDE}" -isystem "${headers}" -isystem "${headers}/torch/csrc/api/include"
  "${CMAKE_CURRENT_LIST_DIR}/syntax.cpp" COMMAND_ERROR_IS_FATAL ANY)
