# Everything native that knows nothing of Node: the library `alignlab_core`, its tests (ctest) and
# its benches. Included by the top-level CMakeLists.txt.
option(ALIGNLAB_UBSAN "Compile alignlab_core, its tests and benches with UBSan; a finding is fatal" OFF)

set(native ${CMAKE_CURRENT_LIST_DIR}/../native)

# One object of all kernels per instruction set, each filling one table. -O3 always, the sanitizer
# builds too: an inline function that is not inlined would be a symbol shared between the objects,
# and the linker might keep the copy that the machine cannot run. Contraction is off so that only
# an explicit Fma() is one. The warnings switched off are GCC's false alarms about its own intrinsics
# headers and about masked loops over 16 lanes.
set(kernel_flags -O3 -fno-math-errno -fno-trapping-math -ffp-contract=off -Wno-uninitialized)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND kernel_flags -Wno-maybe-uninitialized -Wno-stringop-overflow)
endif()
set(kernel_objects)
function(alignlab_kernels name table)
  add_library(alignlab_kernels_${name} OBJECT ${native}/cpu/kernels/kernels.cc
                                              ${native}/cpu/kernels/control.cc)
  target_include_directories(alignlab_kernels_${name} PRIVATE ${native})
  target_compile_definitions(alignlab_kernels_${name} PRIVATE ALIGNLAB_TABLE=${table}
                             ALIGNLAB_CONTROL_TABLE=${table}Control)
  target_compile_options(alignlab_kernels_${name} PRIVATE ${kernel_flags} ${ARGN})
  list(APPEND kernel_objects $<TARGET_OBJECTS:alignlab_kernels_${name}>)
  set(kernel_objects ${kernel_objects} PARENT_SCOPE)
endfunction()

alignlab_kernels(portable kOperationsPortable)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  alignlab_kernels(avx2 kOperationsAvx2 -mavx2 -mfma -mf16c)
  alignlab_kernels(avx512 kOperationsAvx512 -march=x86-64-v4)
  alignlab_kernels(avx512bf16 kOperationsAvx512Bf16 -march=x86-64-v4 -mavx512bf16)
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-mamx-bf16 ALIGNLAB_AMX) # GCC from 11 on
  if(ALIGNLAB_AMX)
    alignlab_kernels(amx kOperationsAmx -march=x86-64-v4 -mavx512bf16 -mamx-tile -mamx-bf16)
  endif()
endif()

file(GLOB core_sources CONFIGURE_DEPENDS ${native}/model/*.cc ${native}/decode/*.cc
     ${native}/optimizer/*.cc ${native}/control/*.cc ${native}/backend/*.cc)
add_library(alignlab_core STATIC ${native}/cpu/backend.cc ${native}/cpu/isa.cc ${native}/cpu/lanes.cc
                                 ${native}/cpu/pool.cc
                                 ${core_sources} ${kernel_objects})
target_include_directories(alignlab_core PUBLIC ${native})
target_compile_options(alignlab_core PRIVATE -ffp-contract=off)
if(ALIGNLAB_AMX)
  target_compile_definitions(alignlab_core PRIVATE ALIGNLAB_AMX)
endif()
target_link_libraries(alignlab_core PUBLIC Threads::Threads ${CMAKE_DL_LIBS})

if(ALIGNLAB_UBSAN)
  target_compile_options(alignlab_core PUBLIC -fsanitize=undefined -fno-sanitize-recover=all)
  target_link_options(alignlab_core PUBLIC -fsanitize=undefined)
endif()

include(${CMAKE_CURRENT_LIST_DIR}/cuda.cmake)

if(ALIGNLAB_TESTS)
  add_library(alignlab_test_heap STATIC ${native}/test/device_heap.cc)
  target_include_directories(alignlab_test_heap PRIVATE ${native})
  file(GLOB test_sources CONFIGURE_DEPENDS ${native}/test/*_test.cc)
  foreach(source ${test_sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE alignlab_core alignlab_test_heap)
    if(TARGET alignlab_cuda_emulated)
      target_link_libraries(${name} PRIVATE alignlab_cuda_emulated)
    endif()
    if(TARGET alignlab_cuda)
      target_compile_definitions(${name} PRIVATE
                                 ALIGNLAB_BUILT_CUDA_LIBRARY="$<TARGET_FILE:alignlab_cuda>")
    endif()
    add_test(NAME ${name} COMMAND ${name})
    # Some tests ask for more memory than there is and expect a refusal, not a sanitizer's report.
    set_tests_properties(${name} PROPERTIES ENVIRONMENT ASAN_OPTIONS=allocator_may_return_null=1)
  endforeach()
  find_program(NM_PROGRAM nm)
  if(NM_PROGRAM AND NOT ALIGNLAB_ASAN)
    add_test(NAME kernel_symbols COMMAND sh ${native}/test/kernel_symbols.sh ${kernel_objects}
             COMMAND_EXPAND_LISTS)
  endif()
endif()

# Each file of native/bench is one program, compiled for this very processor; those that compare
# with oneDNN do so when it is there (Debian: libdnnl-dev).
if(ALIGNLAB_BENCH)
  find_library(ONEDNN_LIBRARY dnnl)
  find_path(ONEDNN_INCLUDE oneapi/dnnl/dnnl.hpp)
  file(GLOB bench_sources CONFIGURE_DEPENDS ${native}/bench/*.cc)
  foreach(source ${bench_sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_compile_options(${name} PRIVATE ${kernel_flags} -march=native)
    target_link_libraries(${name} PRIVATE alignlab_core)
    if(ONEDNN_LIBRARY AND ONEDNN_INCLUDE)
      target_compile_definitions(${name} PRIVATE ALIGNLAB_ONEDNN)
      target_include_directories(${name} SYSTEM PRIVATE ${ONEDNN_INCLUDE})
      target_link_libraries(${name} PRIVATE ${ONEDNN_LIBRARY})
    endif()
  endforeach()
endif()
