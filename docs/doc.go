// Package docs reads Heddle's pages, so that tests can hold them to the code: README.md, CONTRIBUTING.md, CHANGELOG.md and
// everything in docs.
//
// Fenced blocks mean:
//
//	```yaml      complete manifests, which e2e applies in their place on the page
//	```sh e2e    commands that e2e runs in their place, after the manifests above them
//	```text      after a block of commands: lines that its output must have, with … for whatever is in between
//	```sh        commands for people, each of them on a list in docs_test.go that says who runs it
//
// docs_test.go holds links, manifests, names and commands to the code without a cluster; e2e/docs_test.go runs the pages. The
// package imports the standard library only. There is nothing to restart.
package docs
