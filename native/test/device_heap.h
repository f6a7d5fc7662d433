// The operations' tests hand their own vectors to the operations. For a real GPU the memory of the
// whole program has to be such that the GPU reads it, too: managed memory.
#pragma once

#include <string>

namespace alignlab::test {

// From now on `new` gives memory that the CPU and this device share. Returns why it does not, ""
// when it does.
std::string ShareHeapWithDevice(int ordinal);

}  // namespace alignlab::test
