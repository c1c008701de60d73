// Package feed copies Kubernetes objects into the state.
//
// There is one convert function for each kind, named as in state and compile: vpc.go, subnet.go, node.go, pod.go. A
// converter is pure and total: it takes what compilers need and nothing else, and says in the struct what it could not read.
// watch.go connects them to the shared informers; nothing else in the controller hands API objects to the state.
//
// Start returns when every object that existed has been converted, so that whoever starts afterwards sees the whole cluster:
// nothing may be removed from the network before that.
package feed
