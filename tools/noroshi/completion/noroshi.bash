# Completion of noroshi(1) for bash: the program itself knows its commands and
# options, and asks its daemon for the names of peers and communities.
_noroshi()
{
	local word=${COMP_WORDS[COMP_CWORD]} line
	local -a words=("${COMP_WORDS[@]:1:COMP_CWORD}")

	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		@file) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$word") ;;
		@dir) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$word") ;;
		*) COMPREPLY+=("$line") ;;
		esac
	done < <("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null)
}
complete -o filenames -F _noroshi noroshi
