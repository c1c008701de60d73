package api

import (
	"errors"
	"fmt"
)

// Error codes of the CNI specification 1.1.0 ("Error"), and from 100 on Heddle's own.
const (
	CodeIncompatibleVersion uint = 1
	CodeUnsupportedField    uint = 2
	CodeEnvironment         uint = 4
	CodeIO                  uint = 5
	CodeDecoding            uint = 6
	CodeConfig              uint = 7
	CodeNetNS               uint = 8
	CodeTryAgain            uint = 11
	CodeNotAvailable        uint = 50
	CodeInternal            uint = 999

	// CodeAnnotation means that the Pod's annotations contradict themselves: trying again does not help.
	CodeAnnotation uint = 100
	// CodeCheck means that CHECK found the interface in another state than ADD left it in.
	CodeCheck uint = 101
	// CodePodGone means that the Pod was deleted: trying again does not help.
	CodePodGone uint = 102
)

// Error is what a user sees when an operation fails.
type Error struct {
	Code uint   `json:"code"`
	Msg  string `json:"msg"`
}

func (e *Error) Error() string { return e.Msg }

// Errorf makes an Error with a code.
func Errorf(code uint, format string, args ...any) *Error {
	return &Error{Code: code, Msg: fmt.Sprintf(format, args...)}
}

// AsError finds the Error in err; any other error is CodeInternal with its text. A wrapped Error keeps the text around it.
func AsError(err error) *Error {
	e := &Error{}
	if !errors.As(err, &e) {
		return &Error{Code: CodeInternal, Msg: err.Error()}
	}
	return &Error{Code: e.Code, Msg: err.Error()}
}
