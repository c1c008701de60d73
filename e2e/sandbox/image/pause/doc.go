// Pause is the first process of every Pod of a sandbox: it holds the Pod's namespaces and ends when it is asked to. With a process
// namespace that is shared it also inherits the Pod's orphans.
//
// It owns nothing and imports the standard library only. Package image builds it into the image of that name.
package main
