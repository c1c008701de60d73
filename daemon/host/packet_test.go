package host

import (
	"fmt"
	"net"
	"time"
)

// askUDP sends a datagram and returns the source address that the receiver sees; the answer must come back too. The port is a new one each
// time: a socket that is closed lives on for a moment in a child that is being started.
func askUDP(fromNS, from, toNS, to string) (string, error) {
	var server net.PacketConn
	err := in(toNS, func() (err error) {
		server, err = net.ListenPacket("udp", net.JoinHostPort(to, "0"))
		return err
	})
	if err != nil {
		return "", err
	}
	defer server.Close()
	var client net.Conn
	err = in(fromNS, func() (err error) {
		d := net.Dialer{}
		if from != "" {
			d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(from)}
		}
		client, err = d.Dial("udp", server.LocalAddr().String())
		return err
	})
	if err != nil {
		return "", err
	}
	defer client.Close()
	return exchange(client, server)
}

// exchange sends until an answer comes: a first datagram may be lost while neighbours are looked up.
func exchange(client net.Conn, server net.PacketConn) (string, error) {
	end := time.Now().Add(deadline)
	buf := make([]byte, 16)
	for time.Now().Before(end) {
		if _, err := client.Write([]byte("?")); err != nil {
			return "", err
		}
		_ = server.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		_, source, err := server.ReadFrom(buf)
		if err != nil {
			continue
		}
		if _, err := server.WriteTo([]byte("!"), source); err != nil {
			return "", err
		}
		_ = client.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := client.Read(buf); err == nil {
			host, _, err := net.SplitHostPort(source.String())
			return host, err
		}
	}
	return "", fmt.Errorf("no answer within %s", deadline)
}
