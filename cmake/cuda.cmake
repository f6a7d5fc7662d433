# The CUDA backend, twice from the same sources: the library for GPUs, when nvcc is there, and the
# emulation on the CPU, which the tests compare with native/reference/ and with the CPU's engine.
set(ALIGNLAB_CUDA AUTO CACHE STRING "The CUDA library: ON, OFF or AUTO (when nvcc is found)")
set(ALIGNLAB_CUDA_ARCHITECTURES "80-real;89-real;90a-real;100-real;120" CACHE STRING
    "Architectures of the CUDA library; the last one as PTX, too")

set(cuda ${CMAKE_CURRENT_LIST_DIR}/../native/cuda)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden) # as that of C++
file(GLOB cuda_kernels CONFIGURE_DEPENDS ${cuda}/kernels/*.cu)
file(GLOB cuda_sources CONFIGURE_DEPENDS ${cuda}/*.cc)
list(FILTER cuda_sources EXCLUDE REGEX "/(entry|cublas_check)\\.cc$")

if(NOT ALIGNLAB_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION) # older releases of CMake know nvcc up to C++17
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
    endif()
  elseif(ALIGNLAB_CUDA STREQUAL "ON")
    message(FATAL_ERROR "ALIGNLAB_CUDA is ON and there is no nvcc. Put it on the PATH, or set CUDACXX.")
  endif()
endif()

if(CMAKE_CUDA_COMPILER)
  message(STATUS "CUDA library: target alignlab_cuda, for ${ALIGNLAB_CUDA_ARCHITECTURES}")
  set(strict ${CMAKE_CURRENT_LIST_DIR}/strict-nvcc.sh ${CMAKE_CURRENT_LIST_DIR}/cuda-spills.txt
             ${CMAKE_CUDA_COMPILER_LAUNCHER})
  # Not a part of `all`: five architectures take minutes, and most machines have no use for them.
  add_library(alignlab_cuda MODULE EXCLUDE_FROM_ALL ${cuda_kernels} ${cuda}/graph_nvcc.cu
              ${cuda}/runtime_nvcc.cu ${cuda}/tensor_map_nvcc.cu ${cuda_sources} ${cuda}/entry.cc)
  set_target_properties(alignlab_cuda PROPERTIES PREFIX "" CUDA_STANDARD 20 CUDA_RUNTIME_LIBRARY Static
                        CUDA_ARCHITECTURES "${ALIGNLAB_CUDA_ARCHITECTURES}"
                        CUDA_COMPILER_LAUNCHER "${strict}")
  target_include_directories(alignlab_cuda PRIVATE ${cuda}/..)
  # One rounding an operation unless a kernel says Fma: the bits must not depend on the compiler.
  target_compile_options(alignlab_cuda PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false -Xptxas=-warn-spills>
    $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
  target_link_libraries(alignlab_cuda PRIVATE ${CMAKE_DL_LIBS})
  target_link_options(alignlab_cuda PRIVATE -Wl,-z,nodelete -Wl,--exclude-libs,ALL)
else()
  message(STATUS "CUDA library: left out (ALIGNLAB_CUDA=${ALIGNLAB_CUDA}, no nvcc)")
endif()

# g++ takes a .cu file as C++ only through a file that includes it.
function(alignlab_emulated_sources out)
  set(wrapped)
  foreach(source ${cuda_kernels})
    get_filename_component(name ${source} NAME_WE)
    set(wrapper ${CMAKE_BINARY_DIR}/emulated/${name}.cc)
    file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"${source}\"\n")
    list(APPEND wrapped ${wrapper})
  endforeach()
  set(${out} ${wrapped} PARENT_SCOPE)
endfunction()

if(ALIGNLAB_TESTS AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  alignlab_emulated_sources(emulated_kernels)
  add_library(alignlab_cuda_emulated STATIC ${emulated_kernels} ${cuda_sources}
              ${cuda}/emulation/cublas.cc ${cuda}/emulation/emulation.cc
              ${cuda}/emulation/graph.cc ${cuda}/emulation/hopper.cc
              ${cuda}/emulation/runtime.cc ${cuda}/emulation/warpgroup.cc)
  target_include_directories(alignlab_cuda_emulated PUBLIC ${cuda}/..)
  # Fibers have stacks that AddressSanitizer does not know.
  target_compile_options(alignlab_cuda_emulated PRIVATE -O2 -ffp-contract=off -fno-sanitize=address)
  # As a library that the addon opens like the real one (ALIGNLAB_CUDA_LIBRARY).
  add_library(alignlab_cuda_emulated_library MODULE ${cuda}/entry.cc)
  set_target_properties(alignlab_cuda_emulated_library PROPERTIES PREFIX ""
                        OUTPUT_NAME alignlab_cuda_emulated)
  target_link_libraries(alignlab_cuda_emulated_library PRIVATE alignlab_cuda_emulated)
endif()

# What we say of cuBLASLt, against NVIDIA's header where there is one (it needs the toolkit's, too).
find_path(CUBLASLT_INCLUDE cublasLt.h HINTS /usr/local/cuda/include)
find_path(CUDA_RUNTIME_INCLUDE cuda_runtime_api.h HINTS /usr/local/cuda/include)
if(CUBLASLT_INCLUDE AND CUDA_RUNTIME_INCLUDE)
  add_library(alignlab_cublas_check OBJECT ${cuda}/cublas_check.cc)
  target_include_directories(alignlab_cublas_check PRIVATE ${cuda}/..)
  target_include_directories(alignlab_cublas_check SYSTEM PRIVATE ${CUBLASLT_INCLUDE}
                                                                  ${CUDA_RUNTIME_INCLUDE})
endif()
