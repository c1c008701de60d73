package daemon

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{
		Socket: "/run/heddle/daemon.sock", CNIVersion: "1.0.0",
		CNIConfDir: filepath.Join(dir, "net.d"), CNIBinDir: filepath.Join(dir, "bin"), CNIBinary: filepath.Join(dir, "heddle-cni"),
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(cfg.CNIBinary, "one")
	if err := installPlugin(cfg); err != nil {
		t.Fatal(err)
	}
	conflist := filepath.Join(cfg.CNIConfDir, conflistName)
	for _, want := range []bool{false, true} {
		if want {
			write(filepath.Join(cfg.CNIBinDir, "portmap"), "")
		}
		if got, err := installConflist(cfg); err != nil || got != want {
			t.Errorf("portmap %t, %v, want %t", got, err, want)
		}
	}
	text, err := os.ReadFile(conflist)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/conflist.json", string(text))
	before, err := os.Stat(conflist)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := installConflist(cfg); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(conflist); err != nil || !os.SameFile(before, after) || after.Mode().Perm() != 0o600 {
		t.Errorf("written although nothing differs: %v, %v", after, err)
	}
	write(cfg.CNIBinary, "two")
	if err := installPlugin(cfg); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(cfg.CNIBinDir, "heddle")); err != nil || string(b) != "two" {
		t.Errorf("not replaced: %q, %v", b, err)
	}
	for range 2 {
		if err := uninstall(cfg); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]int{cfg.CNIConfDir: 0, cfg.CNIBinDir: 1} {
		if left, err := os.ReadDir(dir); err != nil || len(left) != want {
			t.Errorf("left in %s: %v, %v", dir, left, err)
		}
	}
}

func TestConfig(t *testing.T) {
	good := Config{
		NodeName: "n1", Socket: "/s", SouthboundService: "kube-system/heddle-ovn-sb", Datapath: "auto", EncapType: "geneve",
		EncapIP: netip.MustParseAddr("192.0.2.1"), CNIVersion: "1.0.0", DNSService: "kube-system/kube-dns", MirrorLink: "mirror0",
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		`--mirror-iface "ovn0" is no name for a link, or one that is taken`:          func(c *Config) { c.MirrorLink = "ovn0" },
		`--mirror-iface "a link" is no name for a link, or one that is taken`:        func(c *Config) { c.MirrorLink = "a link" },
		"--node-name is missing (in a Pod: env NODE_NAME from spec.nodeName)":        func(c *Config) { c.NodeName = "" },
		`--socket "s" is not an absolute path`:                                       func(c *Config) { c.Socket = "s" },
		`--ovn-sb-service "sb" is not namespace/name, and there is no --ovn-sb-addr`: func(c *Config) { c.SouthboundService = "sb" },
		`--dns-service "dns" is not namespace/name`:                                  func(c *Config) { c.DNSService = "dns" },
		`--datapath "dpdk" is not auto, system or netdev`:                            func(c *Config) { c.Datapath = "dpdk" },
		`--encap-type "gre" is not geneve, vxlan or stt`:                             func(c *Config) { c.EncapType = "gre" },
		"--mtu 100 is not 0 or between 576 and 65535":                                func(c *Config) { c.MTU = 100 },
		`--cni-version "2.0.0" is not 0.3.1, 0.4.0, 1.0.0 or 1.1.0`:                  func(c *Config) { c.CNIVersion = "2.0.0" },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
