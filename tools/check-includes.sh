#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check-includes.sh ROOT KERNEL_SOURCE...: the arrows lib <- arch <- mm <- linux <- machine, cli.
# A freestanding file includes the compiler's headers, <quire/...> and, by name
# in quotes, files of its own folder. The native kernel's sources and the headers beside
# them are freestanding, too; the soft machine and the command are hosted.
set -eu

root=$1
shift
kernel=()
for source in "$@"; do
	kernel+=("$(realpath --relative-to="$root" "$source")")
done
cd "$root"
[ ${#kernel[@]} -eq 0 ] || kernel+=(machine/native/*.h)
bad=0
compiler='stdint|stddef|stdbool|stdarg|stdatomic|limits|stdalign|stdnoreturn'

complain() {
	echo "$1"
	bad=1
}

include='^[[:space:]]*#[[:space:]]*include'
# Every #include of the freestanding files, as file:line:what.
while IFS=: read -r file line what; do
	what=${what#*include}
	what=${what//[[:space:]]/}
	case $what in
	\<quire/*) ;;
	\"*)
		name=${what//\"/}
		[ -e "$(dirname "$file")/$name" ] && [ "$name" = "${name##*/}" ] ||
			complain "$file:$line: $name is not of its own folder"
		;;
	*)
		echo "$what" | grep -qE "^<($compiler)\.h>" ||
			complain "$file:$line: $what in a freestanding folder"
		;;
	esac
done < <(
	grep -rnE "$include" lib arch mm linux include/quire --include='*.[chS]'
	grep -nHE "$include" "${kernel[@]}" /dev/null
)

# A folder may not use what stands above it. The headers of a layer are known by
# where the functions they declare live.
forbid() {
	local folder=$1 headers=$2
	[ -d "$folder" ] || return 0
	while IFS= read -r hit; do
		[ -z "$hit" ] || complain "$hit: $folder reaches upward"
	done < <(grep -rnE "include <quire/($headers)\.h>" "$folder" --include='*.[chS]')
}
lib_headers='kernel|bitops|bitmap|list|rbtree|interval_tree|range_tree|xarray|string|sprintf'
base_headers='types|errno|err'
while IFS= read -r hit; do
	[ -z "$hit" ] || complain "$hit: lib knows nothing of memory management"
done < <(grep -rnE 'include <quire/' lib --include='*.[ch]' |
	grep -vE "<quire/($lib_headers|$base_headers)\.h>")
forbid arch 'syscall|task|elf|fs|linux|signal|process'
forbid mm 'syscall|task|elf|linux|signal|process'

exit $bad
