//go:build bench

package boot

import (
	"bytes"
	"encoding/binary"
)

// DHCP's numbers (RFC 2131, RFC 2132).
const (
	dhcpFixed  = 236 // before the options' cookie
	optMask    = 1
	optRouter  = 3
	optDNS     = 6
	optLease   = 51
	optMessage = 53
	optServer  = 54
	optEnd     = 255
	discover   = 1
	offer      = 2
	request    = 3
	ack        = 5
)

var dhcpCookie = []byte{99, 130, 83, 99}

// answerDHCP offers the one address, and gives it for a day.
func answerDHCP(body []byte) []byte {
	if len(body) < dhcpFixed+4 || !bytes.Equal(body[dhcpFixed:dhcpFixed+4], dhcpCookie) {
		return nil
	}
	var kind byte
	switch dhcpOption(body[dhcpFixed+4:], optMessage) {
	case discover:
		kind = offer
	case request:
		kind = ack
	default:
		return nil
	}
	reply := make([]byte, dhcpFixed, 320)
	copy(reply, body[:44]) // transaction, hardware address
	reply[0] = 2
	copy(reply[16:], guestIP[:])
	copy(reply[20:], hostIP[:])
	reply = append(reply, dhcpCookie...)
	reply = append(reply, optMessage, 1, kind, optLease, 4, 0, 1, 0x51, 0x80)
	for _, o := range []struct {
		code  byte
		value [4]byte
	}{{optServer, hostIP}, {optMask, mask}, {optRouter, hostIP}, {optDNS, hostIP}} {
		reply = append(append(reply, o.code, 4), o.value[:]...)
	}
	reply = append(reply, optEnd)
	return append(reply, make([]byte, max(0, 300-len(reply)))...) // BOOTP's least (RFC 1542, 2.1)
}

// dhcpOption gives the first byte of an option, 0 when it isn't there.
func dhcpOption(options []byte, code byte) byte {
	for len(options) > 2 {
		switch {
		case options[0] == 0: // pad
			options = options[1:]
			continue
		case options[0] == optEnd || len(options) < 2+int(options[1]):
			return 0
		case options[0] == code:
			return options[2]
		}
		options = options[2+int(options[1]):]
	}
	return 0
}

// answerDNS gives every name one IPv4 address and nothing else (RFC 1035).
func answerDNS(query []byte) []byte {
	const header = 12
	if len(query) < header || binary.BigEndian.Uint16(query[4:]) != 1 {
		return nil
	}
	end := header
	for end < len(query) && query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5 // the root's label, type and class
	if end > len(query) {
		return nil
	}
	reply := append([]byte{}, query[:2]...)
	reply = append(reply, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0) // recursive, without an error
	reply = append(reply, query[header:end]...)
	if binary.BigEndian.Uint16(query[end-4:]) == 1 { // A
		reply[7] = 1
		reply = append(reply, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
		reply = append(reply, answer[:]...)
	}
	return reply
}
