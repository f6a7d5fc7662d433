#include "test/device_heap.h"

#include <dlfcn.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>

namespace {

constexpr size_t kArenaBytes = size_t(2) << 30;
constexpr size_t kHeader = 16;  // the class of a block; keeps what follows aligned as malloc does
constexpr int kClasses = 40;    // blocks of 2^class bytes

struct FreeBlock {
  FreeBlock* next;
};

// Blocks of powers of two, each class with its list of free ones. Never given back: tests are
// short.
constinit std::mutex lock;
constinit char* arena = nullptr;
constinit size_t used = 0;
constinit FreeBlock* lists[kClasses] = {};

void* TakeShared(size_t bytes) {
  const int log = std::bit_width(bytes + kHeader - 1);
  const int size = log < 5 ? 5 : log;
  const std::lock_guard guard(lock);
  char* block;
  if (lists[size]) {
    block = reinterpret_cast<char*>(lists[size]);
    lists[size] = lists[size]->next;
  } else {
    if (used + (size_t(1) << size) > kArenaBytes) throw std::bad_alloc();
    block = arena + used;
    used += size_t(1) << size;
  }
  *reinterpret_cast<int*>(block) = size;
  return block + kHeader;
}

void GiveShared(char* data) {
  char* block = data - kHeader;
  const int size = *reinterpret_cast<int*>(block);
  const std::lock_guard guard(lock);
  auto* free = reinterpret_cast<FreeBlock*>(block);
  free->next = lists[size];
  lists[size] = free;
}

bool IsShared(const char* data) { return arena && data >= arena && data < arena + kArenaBytes; }

// The driver's interface, which needs neither its header nor its library at build time.
template <class F>
bool Find(void* driver, const char* name, F* function) {
  *function = reinterpret_cast<F>(dlsym(driver, name));
  return *function != nullptr;
}

}  // namespace

#if !defined(__SANITIZE_ADDRESS__)  // which has a heap of its own

void* operator new(size_t bytes) {
  if (arena) return TakeShared(bytes);
  if (void* data = std::malloc(bytes > 0 ? bytes : 1)) return data;
  throw std::bad_alloc();
}
void operator delete(void* data) noexcept {
  IsShared(static_cast<char*>(data)) ? GiveShared(static_cast<char*>(data)) : std::free(data);
}
void operator delete(void* data, size_t) noexcept { operator delete(data); }

namespace alignlab::test {

std::string ShareHeapWithDevice(int ordinal) {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (!driver) return "there is no libcuda.so.1";
  int (*init)(unsigned);
  int (*get)(int* device, int ordinal);
  int (*attribute)(int* value, int which, int device);
  int (*retain)(void** context, int device);
  int (*set_current)(void* context);
  int (*allocate)(uint64_t * data, size_t bytes, unsigned flags);
  if (!Find(driver, "cuInit", &init) || !Find(driver, "cuDeviceGet", &get) ||
      !Find(driver, "cuDeviceGetAttribute", &attribute) ||
      !Find(driver, "cuDevicePrimaryCtxRetain", &retain) ||
      !Find(driver, "cuCtxSetCurrent", &set_current) ||
      !Find(driver, "cuMemAllocManaged", &allocate))
    return "libcuda.so.1 lacks a function";
  constexpr int kConcurrentManagedAccess = 89;
  constexpr unsigned kAttachGlobal = 1;
  int device = 0, concurrent = 0;
  void* context = nullptr;
  uint64_t data = 0;
  // The context that CUDA's runtime uses, too.
  if (init(0) || get(&device, ordinal) || attribute(&concurrent, kConcurrentManagedAccess, device))
    return "the driver does not start";
  if (!concurrent) return "the GPU cannot share memory with the CPU at the same time";
  if (retain(&context, device) || set_current(context)) return "the GPU gives no context";
  if (allocate(&data, kArenaBytes, kAttachGlobal)) return "there are no 2 GiB of managed memory";
  const std::lock_guard guard(lock);
  arena = reinterpret_cast<char*>(data);
  return "";
}

}  // namespace alignlab::test

#else

std::string alignlab::test::ShareHeapWithDevice(int) { return "this is an AddressSanitizer build"; }

#endif
