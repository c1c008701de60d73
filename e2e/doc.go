// Package e2e tests Heddle as its users meet it: on the sandbox, a real Kubernetes cluster with kubelets and containers,
// where packets really go. It owns no product code.
//
//	cluster_test.go   the cluster that all tests share
//	watch_test.go     how to wait for something in it
//	objects_test.go   Namespaces, Subnets and Pods for tests, removed when the test ends
//	probe_test.go     who reaches whom by TCP, UDP and ICMP, and with which source
//	*_test.go         one file per feature
//
// The tests make a sandbox named "e2e" and remove it in the end. While developing, keep one and name it:
//
//	go run ./e2e/sandbox --name dev up
//	HEDDLE_SANDBOX=dev go test -count=1 -run TestMatrix ./e2e
//
// Where no sandbox can run (no root, not Linux), every test is skipped and says why. Tests wait for what they want by watches with
// a deadline. Those that are independent run side by side, each with a Namespace and Subnets of its own; those that
// change the whole cluster do not.
//
// Everything that is sent stays in the sandbox. Restart: a sandbox that a killed run left behind is removed by the next one.
package e2e
