# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for lastport

_lastport_kinds='local-ports bind-ports client-ports time-wait-buckets conntrack-entries snat-ports
file-descriptors accept-queue syn-queue tcp-memory orphans'

# The values of the option $1 that begin with $2, and more; fails where it takes none.
_lastport_values()
{
	case $1 in
	--kind | -k)
		printf '%s\n' "$_lastport_kinds"
		;;
	--netns | -n)
		printf '%s\n' all host self
		[ -d /run/netns ] && ls /run/netns
		;;
	--colour | --color)
		printf '%s\n' auto always never
		;;
	--reader)
		printf '%s\n' auto bpf diag
		;;
	--bpffs)
		compgen -d -- "$2"
		;;
	--closer)
		printf '%s\n' both client server
		;;
	--role)
		printf '%s\n' client server
		;;
	--machine | --expect | -e)
		compgen -f -- "$2"
		;;
	--for | --interval | -i | --width | --warn | -w | --critical | -c | --to | --need | --rate | -r) ;;
	--memory | -m) ;;
	--hold | --requests | --sources | --destinations | --nat | --nat-ports | --burst) ;;
	*)
		return 1
		;;
	esac
}

_lastport_options()
{
	case $1 in
	status)
		printf '%s\n' --all --kind --netns --json --interval --reader --exact --colour --color \
			--width
		;;
	check)
		printf '%s\n' --warn --critical --kind --netns --to --need --rate --reader --exact
		;;
	trace)
		printf '%s\n' --each --for --interval --netns --json --colour --color
		;;
	explain)
		printf '%s\n' --all --netns --json --colour --color --width
		;;
	plan)
		printf '%s\n' --rate --hold --requests --sources --destinations --closer --role --nat \
			--nat-ports --bind-first --loopback --burst --machine --netns --json --colour \
			--color --width
		;;
	prove)
		printf '%s\n' --list --json --markdown --expect --provoke --for --colour --color \
			--width
		;;
	ledger)
		printf '%s\n' --memory --bpffs --all --json --colour --color --width
		;;
	esac
	printf '%s\n' --help --usage --version
}

_lastport()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local command=status words=
	if [[ $COMP_CWORD -gt 1 && ${COMP_WORDS[1]} != -* ]]; then
		command=${COMP_WORDS[1]}
	fi
	# readline takes "--kind=local" apart at the "="
	if [[ $word == '=' ]]; then
		word=
	elif [[ $before == '=' ]]; then
		before=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	if words=$(_lastport_values "$before" "$word"); then
		:
	elif [[ $word == -* ]]; then
		words=$(_lastport_options "$command")
	elif [[ $COMP_CWORD -eq 1 || ($COMP_CWORD -eq 2 && $command == help) ]]; then
		words='status check explain plan trace prove ledger help version'
	elif [[ $command == ledger ]]; then
		words='on off show'
	elif [[ $command == explain ]]; then
		words="$_lastport_kinds pid: EADDRNOTAVAIL EADDRINUSE EMFILE ENFILE ETIMEDOUT ECONNREFUSED
			ECONNRESET EHOSTUNREACH ENOBUFS ENOMEM EPERM EAGAIN"
	elif [[ $command == prove ]]; then
		words=$("${COMP_WORDS[0]}" prove --list 2>/dev/null | grep -v '^ ')
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _lastport lastport
