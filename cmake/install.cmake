# cmake --install, and the Debian packages that CPack makes of it. Apart from CMakeLists.txt, since neither is needed to
# build.
#
# The runtime component is the shared library under its soname; development is all the rest. The build tree's library is
# installed as it is: it has no run path to change.

include(CMakePackageConfigHelpers)

set(cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/rdzv")
set(doc_dir "${CMAKE_INSTALL_DATAROOTDIR}/doc")

install(PROGRAMS "${rdzv_real}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime)
install(FILES "${rdzv_soname}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime)
install(FILES LICENSE DESTINATION "${doc_dir}/librdzv${RDZV_ABI}" RENAME copyright COMPONENT runtime)

install(FILES "${RDZV_SHARED}" "${RDZV_STATIC}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development)
install(DIRECTORY include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development)
install(FILES LICENSE DESTINATION "${doc_dir}/librdzv-dev" RENAME copyright COMPONENT development)

install(TARGETS rdzv_shared rdzv_static EXPORT rdzvTargets)
install(EXPORT rdzvTargets NAMESPACE rdzv:: DESTINATION "${cmake_dir}" COMPONENT development)
file(WRITE "${PROJECT_BINARY_DIR}/rdzvConfig.cmake" "include(\"\${CMAKE_CURRENT_LIST_DIR}/rdzvTargets.cmake\")\n")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/rdzvConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/rdzvConfig.cmake" "${PROJECT_BINARY_DIR}/rdzvConfigVersion.cmake"
  DESTINATION "${cmake_dir}" COMPONENT development)

# Found from where the .pc file is, so that the tree can be moved; but an absolute directory stays one.
cmake_path(IS_ABSOLUTE CMAKE_INSTALL_LIBDIR absolute)
if(absolute)
  set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
  cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig"
    OUTPUT_VARIABLE pc_prefix)
  string(REGEX REPLACE "/$" "" pc_prefix "\${pcfiledir}/${pc_prefix}")
endif()
list(TRANSFORM RDZV_SYSTEM_LIBS PREPEND "-l" OUTPUT_VARIABLE pc_private)
list(JOIN pc_private " " pc_private)
configure_file(cmake/rdzv.pc.in rdzv.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/rdzv.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT development)

if(PROJECT_IS_TOP_LEVEL)
  set(CPACK_GENERATOR DEB)
  set(CPACK_PACKAGE_CONTACT "librdzv maintainers <root@localhost>" CACHE STRING "Maintainer of the packages")
  set(CPACK_DEB_COMPONENT_INSTALL ON)
  set(CPACK_COMPONENTS_ALL runtime development)
  set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME "librdzv${RDZV_ABI}")
  set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
  set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
  set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME librdzv-dev)
  set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
  set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "librdzv${RDZV_ABI} (= ${PROJECT_VERSION})")
  set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
  set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "The shared library.")
  set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
    "Headers for C, C++ and libtorch, the static library, and files for CMake and pkg-config.")
  set(CPACK_STRIP_FILES OFF)
  include(CPack)
endif()
