#!/bin/sh
# Is .clang-format applied? Lists the files that it would change.
cd "$(dirname "$0")/../.." || exit 1
command -v clang-format >/dev/null 2>&1 || { echo "clang-format is not installed"; exit 77; }
bad=0
for f in $(git ls-files '*.c' '*.h' 2>/dev/null || find include lib daemon tools tests -name '*.[ch]'); do
	[ -f "$f" ] || continue
	clang-format --dry-run -Werror "$f" >/dev/null 2>&1 || { echo "$f"; bad=$((bad + 1)); }
done
echo "$bad files not formatted"
[ "$bad" -eq 0 ]
