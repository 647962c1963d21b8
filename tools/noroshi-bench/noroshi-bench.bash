# Completion of noroshi-bench(1) for bash.
_noroshi_bench()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} help

	help=$("${COMP_WORDS[0]}" --help 2>/dev/null)
	case $before in
	-n | --runs | -s | --seconds | -r | --records) COMPREPLY=() ;;
	-d | --dir | --bin) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
	*)
		if [[ $word == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$(grep -o -- '--[a-z]*' <<<"$help" | sort -u)" -- "$word")
		else
			mapfile -t COMPREPLY < <(compgen -W "$(sed -n '/^scenarios/,/^$/s/^  \([a-z]*\) .*/\1/p' <<<"$help")" -- "$word")
		fi
		;;
	esac
}
complete -o filenames -F _noroshi_bench noroshi-bench
