package runnerproto

import (
	"crypto/rsa"
	"encoding/binary"
	"math/big"
)

// RSAParameters is a private key in the form of .credentials_rsaparams (actions/runner
// src/Runner.Common/RSAParametersSerializable: big-endian numbers in base64).
type RSAParameters struct {
	D        []byte `json:"d"`
	DP       []byte `json:"dp"`
	DQ       []byte `json:"dq"`
	Exponent []byte `json:"exponent"`
	InverseQ []byte `json:"inverseQ"`
	Modulus  []byte `json:"modulus"`
	P        []byte `json:"p"`
	Q        []byte `json:"q"`
}

// NewRSAParameters takes a key of two primes apart.
func NewRSAParameters(key *rsa.PrivateKey) RSAParameters {
	key.Precompute()
	size, half := (key.N.BitLen()+7)/8, (key.N.BitLen()+15)/16
	return RSAParameters{
		D: fill(key.D, size), Modulus: fill(key.N, size),
		DP: fill(key.Precomputed.Dp, half), DQ: fill(key.Precomputed.Dq, half), InverseQ: fill(key.Precomputed.Qinv, half),
		P: fill(key.Primes[0], half), Q: fill(key.Primes[1], half),
		Exponent: exponent(key.E),
	}
}

// fill writes n with leading zeros: .NET wants every number in full length.
func fill(n *big.Int, size int) []byte { return n.FillBytes(make([]byte, size)) }

func exponent(e int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(e)) //nolint:gosec // an RSA exponent is 65537
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return b
}
