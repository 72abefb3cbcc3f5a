# The shared library exports exactly the functions that the header declares.

execute_process(COMMAND "${NM}" -D --defined-only "${LIBRARY}" OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^ \n]+\n" exported "${symbols}")
list(TRANSFORM exported STRIP)

# -fpreprocessed expands nothing and takes the comments away.
execute_process(COMMAND "${CC}" -fpreprocessed -P -E "${HEADER}" OUTPUT_VARIABLE code COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "rdzv_[a-z0-9_]+ *\\(" declared "${code}")
list(TRANSFORM declared REPLACE " *\\($" "")

list(LENGTH exported exported_count)
list(LENGTH declared declared_count)
if(exported_count EQUAL 0 OR declared_count EQUAL 0)
  message(FATAL_ERROR "${exported_count} symbols exported, ${declared_count} functions declared")
endif()
set(undeclared ${exported})
set(missing ${declared})
list(REMOVE_ITEM undeclared ${declared})
list(REMOVE_ITEM missing ${exported})
if(undeclared OR missing)
  message(FATAL_ERROR "exported but not declared: ${undeclared}\ndeclared but not exported: ${missing}")
endif()
message(STATUS "${exported_count} functions, exported and declared")
