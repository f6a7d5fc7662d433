# The CUDA backend, twice from the same sources: the library for GPUs, when nvcc is there, and the
# emulation on the CPU, which the native tests compare with native/reference/.
set(ALIGNLAB_CUDA AUTO CACHE STRING "Build the CUDA library: ON, OFF or AUTO (when nvcc is found)")
set(ALIGNLAB_CUDA_ARCHITECTURES "80-real;89-real;90a-real;100-real;120" CACHE STRING
    "Architectures of the CUDA library; the last one as PTX too")

set(cuda ${CMAKE_CURRENT_LIST_DIR}/../native/cuda)
file(GLOB cuda_kernels CONFIGURE_DEPENDS ${cuda}/kernels/*.cu)
set(cuda_common ${cuda}/cublas.cc ${cuda}/device.cc ${cuda}/table.cc)

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
  add_library(alignlab_cuda_emulated STATIC ${emulated_kernels} ${cuda_common}
              ${cuda}/emulation/emulation.cc ${cuda}/emulation/runtime.cc)
  target_include_directories(alignlab_cuda_emulated PUBLIC ${cuda}/..)
  # Fibers have stacks that AddressSanitizer does not know.
  target_compile_options(alignlab_cuda_emulated PRIVATE -O2 -ffp-contract=off -fno-sanitize=address)
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
