package main

import (
	"fmt"
	"strings"
)

// valued are tcpdump's short options that take a value (tcpdump(1), of 4.99).
const valued = "BcCEFGijmMQrsTVwWyzZ"

// Some options do not fit: tcpdump runs as root on a node, and a file that it writes stays there.
const (
	ownLink  = "the link is the Pod's"
	ownUser  = "it runs as who may capture there"
	noFile   = "nothing is written on the node: -w - writes the packets here, as in `-w - > FILE`"
	noInput  = "files are looked for on the node; tcpdump reads them here without kubectl"
	noFilter = "files are looked for on the node; the filter may be an argument: \"$(cat FILE)\""
	noRun    = "nothing else is run on the node"
)

var refused = map[byte]string{
	'i': ownLink, 'Z': ownUser, 'w': noFile, 'C': noFile, 'G': noFile, 'W': noFile, 'r': noInput, 'V': noInput, 'F': noFilter, 'z': noRun,
}

// refusedLong have abbreviations (getopt_long(3)).
var refusedLong = map[string]string{"interface": ownLink, "relinquish-privileges": ownUser}

// check reads arguments of tcpdump as getopt_long(3) does, and says what is wrong with one that this command cannot allow.
func check(args []string) error {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return nil // the filter
		case strings.HasPrefix(arg, "--"):
			if err := checkLong(arg[2:]); err != nil {
				return err
			}
		case strings.HasPrefix(arg, "-"):
			skip, err := checkShort(arg[1:], args[i+1:])
			if err != nil {
				return err
			}
			i += skip
		}
	}
	return nil
}

func checkLong(option string) error {
	name, _, _ := strings.Cut(option, "=")
	for long, why := range refusedLong {
		if strings.HasPrefix(long, name) {
			return fmt.Errorf("tcpdump's option --%s cannot be used: %s", long, why)
		}
	}
	return nil
}

// checkShort reads a group of short options, and tells whether the last one takes the next argument for its value.
func checkShort(group string, next []string) (skip int, err error) {
	for i := range len(group) {
		option := group[i]
		takes := strings.IndexByte(valued, option) >= 0
		value := group[i+1:]
		if takes && value == "" && len(next) > 0 {
			value, skip = next[0], 1
		}
		if why, bad := refused[option]; bad && (option != 'w' || value != "-") {
			return 0, fmt.Errorf("tcpdump's option -%c cannot be used: %s", option, why)
		}
		if takes {
			return skip, nil
		}
	}
	return 0, nil
}
