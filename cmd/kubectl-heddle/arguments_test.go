package main

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for line, refused := range map[string]string{
		"":                            "",
		"-n port 80":                  "",
		"-nnvvXc 5 icmp or icmp6":     "",
		"-w -":                        "",
		"-w-":                         "",
		"-c 5 -nw - tcp":              "",
		"-s 96 -e host 10.0.0.1":      "",
		"-c -w":                       "", // the number is -w: tcpdump says so
		"-c5 -Q in":                   "",
		"--direction=in --count":      "",
		"--immediate-mode --number":   "",
		"-- -w file":                  "",
		"port 80 -w -":                "",
		"-":                           "",
		"-y EN10MB -T rpc -j host -B": "",

		"-w file":                     "-w",
		"-wfile":                      "-w",
		"-nw file":                    "-w",
		"-nwfile":                     "-w",
		"-w":                          "-w",
		"-w -- file":                  "-w",
		"port 80 -w file":             "-w", // options may come after the filter
		"-w - -w file":                "-w",
		"-c 5 -w -x":                  "-w",
		"-i eth0":                     "-i",
		"-nieth0":                     "-i",
		"--interface=eth0":            "--interface",
		"--int eth0":                  "--interface",
		"--relinquish-privileges=tom": "--relinquish-privileges",
		"--rel=tom":                   "--relinquish-privileges",
		"-Ztom":                       "-Z",
		"-z reboot":                   "-z",
		"-nz reboot":                  "-z",
		"-G 5 -w -":                   "-G",
		"-C 1 -w -":                   "-C",
		"-W 2 -w -":                   "-W",
		"-r /etc/shadow":              "-r",
		"-V list":                     "-V",
		"-F filter":                   "-F",
	} {
		err := check(strings.Fields(line))
		if refused == "" && err != nil || refused != "" && (err == nil || !strings.Contains(err.Error(), "option "+refused+" cannot")) {
			t.Errorf("%s: %v, want %q refused", line, err, refused)
		}
	}
}
