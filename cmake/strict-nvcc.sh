#!/bin/sh
# strict-nvcc.sh ALLOWED nvcc ARGUMENTS...: nvcc, which fails where ptxas keeps registers in memory, but for
# the kernels of the file ALLOWED, or lets products of a warpgroup wait for one another (C7508 and its
# neighbours), and not only where the code is wrong.
allowed=$1
shift
log=$(mktemp)
patterns=$(mktemp)
trap 'rm -f "$log" "$patterns"' EXIT
grep -v '^#' "$allowed" >"$patterns"
"$@" 2>"$log"
status=$?
cat "$log" >&2
[ $status -eq 0 ] || exit $status
slow=$(grep -E 'spilled to local memory|\(C75[0-9][0-9]\)' "$log" | grep -vEf "$patterns")
[ -z "$slow" ] && exit 0
echo "strict-nvcc: kernels that have to be fast are not (reasons that count go to $allowed):" >&2
echo "$slow" >&2
while [ $# -gt 1 ]; do
  [ "$1" = -o ] && rm -f "$2"
  shift
done
exit 1
