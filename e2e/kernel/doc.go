// Package kernel runs tests on the kernel's datapath, the module openvswitch, which machines that develop Heddle need not have: qemu
// boots Debian's own kernel with the image's Debian around it, and in there the test binaries of other packages run. It needs neither
// root nor KVM.
//
//	kernel_test.go  which packages, and their results as subtests
//	guest.go        what the guest has in it: dist/root, the kernel's modules, test binaries and their testdata
//	init            process 1 of the guest
//	linux.go        Debian's kernel, and programs that the image has not, in the user's cache
//	archive.go      all of it as one initramfs (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst)
//	qemu.go         starts the guest, and gives it up
//	results.go      reads what the tests say
//
// A test comes here by being in a package that is listed in kernel_test.go, and by taking its datapath from ovs/ovstest/node, which makes
// a test fail that is in user space after all. Modules load on demand. In the guest nothing may be skipped: what cannot run there, or says
// nothing that it does not say on the host, is left out in the list.
//
// Emulated, the guest's clock is one of instructions (qemu.go), and it alone makes time pass: tests can measure by it what the kernel
// does by a clock, such as rates, on a machine of any speed, and what a test waits for costs nothing.
//
//	make e2e-kernel
//	go test -count=1 -v ./e2e/kernel -run 'TestKernel/controller/packets'    # one package
//	go test -count=1 -v ./e2e/kernel -guest.run 'TestPolicyPackets'          # tests of the guest by name
//
// dist/kernel.log has the console and what the tests wrote. Nothing is left behind but the cache: the guest has no disk, no network
// card, and ends with the test.
package kernel
