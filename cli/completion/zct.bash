# bash completion for zct(1). Commands and options come from the command's own help, names from the store that the line is
# about, so that nothing here has to be kept in step. Needs nothing but bash 4.2.

# The words of the line up to the cursor as the shell will read them: COMP_WORDS is cut at every ':' and '='.
_zct_read_line() {
    local line=${COMP_LINE:0:COMP_POINT}
    read -a _zct_words <<< "$line" # takes backslashes away, on purpose
    [[ $line == *[[:blank:]] && $line != *\\[[:blank:]] ]] && _zct_words+=("")
}

# The commands, one a line.
_zct_commands() {
    local line
    while IFS= read -r line; do
        [[ $line =~ ^\ \ ([a-z]+)\ +[^\ ] ]] && printf '%s\n' "${BASH_REMATCH[1]}"
    done < <("$1" --help 2> /dev/null)
    printf 'help\n'
}

# The long options of a command ("" for zct itself), one a line.
_zct_options() {
    local line
    while IFS= read -r line; do
        [[ $line =~ ^\ +(-[a-z],\ )?(--[a-z-]+) ]] && printf '%s\n' "${BASH_REMATCH[2]}"
    done < <("$1" $2 --help 2> /dev/null)
}

# The long name of option $3 of command $2 if it takes a value, else nothing.
_zct_takes_value() {
    local line
    while IFS= read -r line; do
        if [[ $line =~ ^\ +((-[a-z]),\ )?(--[a-z-]+)\ [A-Z] && ($3 == "${BASH_REMATCH[2]}" || $3 == "${BASH_REMATCH[3]}") ]]; then
            printf '%s\n' "${BASH_REMATCH[3]}"
            return
        fi
    done < <("$1" $2 --help 2> /dev/null)
}

# Tensors whose name begins with $2; names that the shell cannot type are left out.
_zct_names() {
    local glob=$2 name
    glob=${glob//\\/\\\\} glob=${glob//\*/\\*} glob=${glob//\?/\\?} glob=${glob//\[/\\[}
    while IFS= read -r name; do
        [[ $name == *\\* ]] || printf '%s\n' "$name"
    done < <("$1" "${_zct_target[@]}" ls --names --sort none "$glob*" 2> /dev/null | head -n 2000)
}

_zct_stores() {
    local name rest
    while read -r name rest; do
        [[ $rest == UID* || $name == *\\* ]] || printf '%s\n' "$name"
    done < <("$1" "${_zct_target[@]}" ls --stores 2> /dev/null)
}

# Make replies of the candidates on standard input that begin with $1; what stands before the last break stays on the line.
_zct_reply() {
    local current=$1 quote=$2 kept= word
    local breaks=${COMP_WORDBREAKS//[^:=]/}
    [[ -n $breaks && $current == *["$breaks"]* ]] && kept=${current%"${current##*["$breaks"]}"}
    while IFS= read -r word; do
        [[ $word == "$current"* ]] || continue
        word=${word#"$kept"}
        [[ $quote == quote ]] && printf -v word %q "$word"
        COMPREPLY+=("$word")
    done
}

_zct() {
    local _zct_words=() _zct_target=() zct=$1 command= previous current option i
    local dashes= stores=
    COMPREPLY=()
    _zct_read_line
    current=${_zct_words[-1]}
    previous=${_zct_words[-2]-}
    for ((i = 1; i < ${#_zct_words[@]} - 1; i++)); do
        option=${_zct_words[i]}
        case $option in
            --store | --dir)
                _zct_target+=("$option" "${_zct_words[i + 1]}")
                i=$((i + 1))
                ;;
            --store=* | --dir=*) _zct_target+=("$option") ;;
            --) dashes=1 ;;
            --stores) stores=1 ;;
            -*) ;;
            *) [[ -z $command ]] && command=$option ;;
        esac
    done
    if [[ $current == --*=* ]]; then # --option=value
        previous=${current%%=*}
        current=${current#*=}
    elif [[ $current == -* && -z $dashes ]]; then
        _zct_reply "$current" < <(_zct_options "$zct" "$command")
        return
    fi
    option=
    [[ $previous == -* && -z $dashes ]] && option=$(_zct_takes_value "$zct" "$command" "$previous")
    case $option in
        "") ;;
        --store)
            _zct_reply "$current" quote < <(_zct_stores "$zct")
            [[ $current == */* ]] && compopt -o default
            ;;
        --dir | --root) compopt -o dirnames ;;
        --sort) _zct_reply "$current" < <(printf '%s\n' name size age held none) ;;
        --exists) _zct_reply "$current" < <(printf '%s\n' error replace attach) ;;
        --format) _zct_reply "$current" < <(printf '%s\n' npy npz safetensors) ;;
    esac
    [[ $option ]] && return
    case $command in
        "" | help) _zct_reply "$current" < <(_zct_commands "$zct") ;;
        ls | stat | head | watch | rm)
            if [[ -n $stores ]]; then
                _zct_reply "$current" quote < <(_zct_stores "$zct")
            else
                _zct_reply "$current" quote < <(_zct_names "$zct" "$current")
            fi
            ;;
        save)
            compopt -o default # the file
            _zct_reply "$current" quote < <(_zct_names "$zct" "$current")
            ;;
        load) compopt -o default ;;
    esac
}

complete -F _zct zct
