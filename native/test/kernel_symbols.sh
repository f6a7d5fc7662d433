#!/bin/sh
# Fails when an object of kernels shows the linker a function that another object could show too
# (weak or unique symbols: inline functions, templates, statics of the standard library). The
# reference to the exception personality, data that is the same everywhere, is none.
status=0
for object in "$@"; do
  shared=$(nm -C "$object" | grep ' [WVu] ' | grep -v ' V DW.ref.__gxx_personality_v0')
  if [ -n "$shared" ]; then
    printf '%s:\n%s\n' "$object" "$shared"
    status=1
  fi
done
exit $status
