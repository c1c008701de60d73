package host

import "testing"

// TestOffload switches a feature and reads it back, by our own means and by ethtool.
func TestOffload(t *testing.T) {
	r := newRig(t, DatapathKernel)
	for feature, name := range map[offload]string{offloadTxCsum: "tx-checksumming", offloadGRO: "generic-receive-offload"} {
		for _, value := range []string{"off", "on", "off"} {
			if err := writeOffload("eth0", feature, value); err != nil {
				t.Fatal(err)
			}
			if got, err := readOffload("eth0", feature); err != nil || got != value {
				t.Errorf("%s is %q, %v; want %s", feature, got, err, value)
			}
			if !r.has(name+": "+value, "ethtool", "-k", "eth0") {
				t.Errorf("ethtool does not say that %s is %s", name, value)
			}
		}
	}
	if _, err := readOffload("nowhere", offloadGRO); err == nil {
		t.Error("a link that is not there has a value")
	}
}
