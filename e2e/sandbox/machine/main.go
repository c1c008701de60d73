package machine

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// File descriptors that Start hands to the machine's init.
const (
	goFD       = 3 + iota // reads "go" once the machine is recorded and has its links
	reportFD              // takes one line: what went wrong, or nothing
	listenerFD            // optional, in the host's network
)

// Main is the machine's init. It ends by a signal only; what it returns is why the machine could
// not start.
func Main(dir string) error {
	for fd := goFD; fd <= listenerFD; fd++ {
		unix.CloseOnExec(fd)
	}
	report := os.NewFile(reportFD, "report")
	config, err := prepare(dir)
	if _, reportErr := fmt.Fprintln(report, text(err)); err != nil || reportErr != nil {
		return err
	}
	if err := awaitGo(); err != nil {
		return err
	}
	if err := report.Close(); err != nil {
		return err
	}
	if config.Forward == "" {
		return supervise(config.Services)
	}
	forwarder, err := listen(config.Forward)
	if err != nil {
		return err
	}
	go forwarder.run() // ends with the process, as all of the machine does
	return supervise(config.Services)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func prepare(dir string) (Config, error) {
	config, err := readConfig(dir)
	if err != nil {
		return config, err
	}
	if err := unix.Sethostname([]byte(config.Name)); err != nil {
		return config, fmt.Errorf("host name: %w", err)
	}
	if err := config.prepareRoot(); err != nil {
		return config, err
	}
	if err := config.prepareSysctls(); err != nil {
		return config, err
	}
	return config, loopbackUp()
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	return nil
}

// awaitGo waits for the parent's word. A parent that dies before has closed the pipe, and the machine ends;
// afterwards it is on record and lives on.
func awaitGo() error {
	word := make([]byte, 2)
	if _, err := os.NewFile(goFD, "go").Read(word); err != nil {
		return fmt.Errorf("the process that started this machine is gone: %w", err)
	}
	return nil
}

// forwarder passes connections from the host's loopback to an address of the machine's network. The
// listener keeps the network namespace that it was made in; what this process dials is in its own.
type forwarder struct {
	listener net.Listener
	target   string
}

func listen(target string) (*forwarder, error) {
	listener, err := net.FileListener(os.NewFile(listenerFD, "listener"))
	if err != nil {
		return nil, fmt.Errorf("forward to %s: %w", target, err)
	}
	return &forwarder{listener: listener, target: target}, nil
}

func (f *forwarder) run() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		go f.serve(conn.(*net.TCPConn))
	}
}

func (f *forwarder) serve(client *net.TCPConn) {
	defer client.Close()
	server, err := net.Dial("tcp", f.target)
	if err != nil {
		return // the client sees its connection closed
	}
	defer server.Close()
	done := make(chan struct{})
	go func() { defer close(done); relay(client, server.(*net.TCPConn)) }()
	relay(server.(*net.TCPConn), client)
	<-done
}

// relay copies one direction, and hands on the end of it.
func relay(to, from *net.TCPConn) {
	_, _ = to.ReadFrom(from)
	_ = to.CloseWrite()
	_ = from.CloseRead()
}

// logPath is where a service's output goes inside the machine.
func logPath(name string) string { return filepath.Join("/var/log", name+".log") }
