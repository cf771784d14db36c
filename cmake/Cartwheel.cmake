# Helpers shared by every folder: one call per library and per test, so that a target's line shows what it may use.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(cartwheel_flags INTERFACE)
target_compile_options(cartwheel_flags INTERFACE -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Wconversion
                                                 -Wno-sign-conversion -fno-omit-frame-pointer)
target_include_directories(cartwheel_flags INTERFACE ${PROJECT_SOURCE_DIR})
if(CARTWHEEL_PLANTED_BUGS)
  target_compile_definitions(cartwheel_flags INTERFACE CARTWHEEL_PLANTED_BUGS=1)
endif()
if(CARTWHEEL_SANITIZE)
  target_compile_options(cartwheel_flags INTERFACE -fsanitize=${CARTWHEEL_SANITIZE} -fno-sanitize-recover=undefined)
  target_link_options(cartwheel_flags INTERFACE -fsanitize=${CARTWHEEL_SANITIZE})
endif()

if(CARTWHEEL_FUZZ)
  # Coverage for the fuzzer's feedback in every library; the fuzz targets alone link its main.
  target_compile_options(cartwheel_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# cartwheel_library(name SOURCES ... DEPS ...): a static library `cartwheel_<name>`, aliased cartwheel::<name>. DEPS are
# the only things that it can include beside the standard library.
function(cartwheel_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(cartwheel_${name} STATIC ${ARG_SOURCES})
  add_library(cartwheel::${name} ALIAS cartwheel_${name})
  target_link_libraries(cartwheel_${name} PUBLIC ${ARG_DEPS} PRIVATE cartwheel_flags ${ARG_PRIVATE_DEPS})
  target_include_directories(cartwheel_${name} PUBLIC ${PROJECT_SOURCE_DIR})
endfunction()

# cartwheel_test(name LABEL unit|laws|sim|e2e|fuzz-replay SOURCES ... DEPS ...): a GoogleTest program, one ctest entry.
function(cartwheel_test name)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;DEPS;ARGS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} cartwheel_flags GTest::gmock_main)
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGS})
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL})
endfunction()
