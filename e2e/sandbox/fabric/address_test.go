package fabric

import "testing"

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		network Network
		number  int
		v4, v6  string
		mac     string
	}{
		{Nodes, 1, "192.0.2.11/24", "2001:db8:1::b/64", "02:00:c0:00:02:0b"},
		{Outside, 244, "198.51.100.254/24", "2001:db8:2::fe/64", "02:00:c6:33:64:fe"},
	} {
		host, err := Numbered(c.number)
		if err != nil {
			t.Fatal(err)
		}
		got := c.network.Addresses(host)
		if got[0].String() != c.v4 || got[1].String() != c.v6 {
			t.Errorf("number %d in %s has %v, want %s and %s", c.number, c.network.Bridge, got, c.v4, c.v6)
		}
		if mac := c.network.mac(host).String(); mac != c.mac {
			t.Errorf("number %d in %s has %s, want %s", c.number, c.network.Bridge, mac, c.mac)
		}
	}
}

func TestNumbersEnd(t *testing.T) {
	for _, n := range []int{-1, 0, 245} {
		if host, err := Numbered(n); err == nil {
			t.Errorf("number %d is host %d, want an error", n, host)
		}
	}
}
