package qemu

import (
	"io"
	"net"
	"sync"
	"testing"
)

// echo is a service that says everything back once the other side has said all.
func echo(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				text, _ := io.ReadAll(conn)
				_, _ = conn.Write(text)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l
}

func dial(t *testing.T, f *forward) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", f.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("%T", conn)
	}
	return tcp
}

func TestForwardCarriesBothWaysAndEndsEachWayByItself(t *testing.T) {
	f, err := newForward(t.Context(), echo(t).Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	for range 3 { // more than one connection
		conn := dial(t, f)
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(); err != nil { // only now does the service answer
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestForwardEndsItsConnectionsWithItself(t *testing.T) {
	f, err := newForward(t.Context(), echo(t).Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, f)
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	f.close()
	if got, err := io.ReadAll(conn); len(got) != 0 {
		t.Errorf("%q, %v after the end", got, err)
	}
}

func TestForwardToNobodyHangsUp(t *testing.T) {
	l := echo(t)
	address := l.Addr().String()
	_ = l.Close()
	f, err := newForward(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if got, _ := io.ReadAll(dial(t, f)); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
