//go:build bench

package boot

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
)

// The segment: one guest, and one host that is router, DHCP server and resolver.
var (
	hostMAC = []byte{0x52, 0x54, 0, 0, 0, 1}
	hostIP  = netip.MustParseAddr("10.77.0.1").As4()
	guestIP = netip.MustParseAddr("10.77.0.20").As4()
	mask    = [4]byte{255, 255, 255, 0}
	// answer is what every name resolves to: documentation's own network (RFC 5737), which nobody reaches.
	answer = netip.MustParseAddr("192.0.2.1").As4()
)

// lan is the segment. QEMU brings frames on a stream, each after its length in four bytes (QEMU's -netdev stream).
type lan struct {
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	open     []net.Conn
}

// newLAN serves until the test ends, and gives QEMU's -netdev.
func newLAN(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "lan")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l := &lan{listener: listener}
	l.wg.Go(l.accept)
	t.Cleanup(l.close)
	return "stream,id=net0,server=off,addr.type=unix,addr.path=" + path
}

func (l *lan) close() {
	_ = l.listener.Close()
	l.mu.Lock()
	for _, c := range l.open {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
}

func (l *lan) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		l.mu.Lock()
		l.open = append(l.open, conn)
		l.mu.Unlock()
		l.wg.Go(func() { serve(conn) })
	}
}

// serve answers one guest's frames until it hangs up.
func serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	var length [4]byte
	for {
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(length[:])
		if n > 1<<16 {
			return
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(conn, frame); err != nil {
			return
		}
		reply := answerFrame(frame)
		if reply == nil {
			continue
		}
		binary.BigEndian.PutUint32(length[:], uint32(len(reply)))
		if _, err := conn.Write(append(length[:], reply...)); err != nil {
			return
		}
	}
}

// Ethernet's types.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
)

// answerFrame gives the frame to send back, nil for none.
func answerFrame(frame []byte) []byte {
	if len(frame) < 14 {
		return nil
	}
	from, payload := frame[6:12], frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case typeARP:
		if a := answerARP(payload); a != nil {
			return ethernet(from, typeARP, a)
		}
	case typeIPv4:
		return answerIPv4(from, payload)
	}
	return nil
}

func ethernet(to []byte, kind uint16, payload []byte) []byte {
	frame := append(append([]byte{}, to...), hostMAC...)
	frame = binary.BigEndian.AppendUint16(frame, kind)
	return append(frame, payload...)
}

// answerARP answers who asks for the host (RFC 826).
func answerARP(request []byte) []byte {
	if len(request) < 28 || binary.BigEndian.Uint16(request[6:]) != 1 || [4]byte(request[24:28]) != hostIP {
		return nil
	}
	reply := append([]byte{}, request[:6]...)
	reply = append(reply, 0, 2)
	reply = append(append(reply, hostMAC...), hostIP[:]...)
	return append(reply, request[8:18]...) // whoever asked
}

// answerIPv4 answers UDP to the ports of DHCP and DNS.
func answerIPv4(from, packet []byte) []byte {
	const udp = 17
	if len(packet) < 28 || packet[9] != udp {
		return nil
	}
	header := int(packet[0]&15) * 4
	if len(packet) < header+8 {
		return nil
	}
	source := [4]byte(packet[12:16])
	port, to := binary.BigEndian.Uint16(packet[header:]), binary.BigEndian.Uint16(packet[header+2:])
	body := packet[header+8:]
	switch to {
	case 67:
		if reply := answerDHCP(body); reply != nil {
			return ethernet(from, typeIPv4, datagram([4]byte{255, 255, 255, 255}, 67, 68, reply))
		}
	case 53:
		if reply := answerDNS(body); reply != nil {
			return ethernet(from, typeIPv4, datagram(source, 53, port, reply))
		}
	}
	return nil
}

// datagram is an IPv4 packet from the host with UDP in it, without UDP's checksum, which IPv4 allows.
func datagram(to [4]byte, port, toPort uint16, body []byte) []byte {
	p := make([]byte, 28, 28+len(body))
	p[0], p[8], p[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(p[2:], uint16(28+len(body)))
	copy(p[12:], hostIP[:])
	copy(p[16:], to[:])
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(p[20:], port)
	binary.BigEndian.PutUint16(p[22:], toPort)
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(body)))
	return append(p, body...)
}
