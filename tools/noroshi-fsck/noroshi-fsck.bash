# Completion of noroshi-fsck(8) for bash.
_noroshi_fsck()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}

	case $before in
	-j | --jobs) COMPREPLY=() ;;
	*)
		if [[ $word == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --help 2>/dev/null | grep -o -- '--[a-z]*')" -- "$word")
		else
			mapfile -t COMPREPLY < <(compgen -d -- "$word")
		fi
		;;
	esac
}
complete -o filenames -F _noroshi_fsck noroshi-fsck
