package world

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"mayfly/internal/sim/pve"
)

func TestAgentAnswersAsTheRealOne(t *testing.T) {
	inRoom(t, GuestOptions{Boot: 10 * time.Second, AgentDelay: time.Second}, func(r *room) {
		r.start(201)
		// While the guest boots a call only ends with its own deadline.
		ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Second)
		defer cancel()
		if _, err := r.Agent(ctx, 201, "guest-ping", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("booting guest: %v", err)
		}
		r.ask(201, "guest-ping", nil)

		f := r.run(201, "in", "/bin/sh", "-c", "cat; nosuch; exit 3")
		if f.Code != 3 || string(f.OutData) != "in" || string(f.ErrData) != "sh: nosuch: not found\n" {
			t.Errorf("exec: %+v", f)
		}
		r.refused(201, "guest-exec-status", map[string]int{"pid": 801}, "GenericError", "Invalid parameter 'pid'") // read once already
		r.refused(201, "guest-exec", map[string]any{"path": "/bin/nosuch"}, "GenericError",
			"Guest agent command failed, error was 'Failed to execute child process “/bin/nosuch” (No such file or directory)'")
		r.refused(201, "guest-dance", nil, "CommandNotFound", "The command guest-dance has not been found")
		if name := r.ask(201, "guest-get-host-name", nil)["host-name"]; name != "ep-0123456789" {
			t.Errorf("host name %v", name)
		}
		if info := r.ask(201, "guest-info", nil); info["version"] == nil || len(info["supported_commands"].([]any)) < 10 {
			t.Errorf("info %v", info)
		}
		r.ask(201, "guest-shutdown", nil)
		r.powersOff(201, time.Minute)
	})
}

func TestMuteAgentNeverAnswers(t *testing.T) {
	inRoom(t, GuestOptions{Behave: func(pve.Machine) Behaviour { return MuteAgent }}, func(r *room) {
		r.start(201)
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Hour)
		defer cancel()
		if _, err := r.Agent(ctx, 201, "guest-ping", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ping: %v, want the deadline", err)
		}
	})
}

func TestAgentReadsAndWritesFilesByHandle(t *testing.T) {
	inRoom(t, GuestOptions{}, func(r *room) {
		r.boot(201)
		handle := func(file, mode string) int {
			t.Helper()
			raw, err := r.try(201, "guest-file-open", map[string]string{"path": file, "mode": mode})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, c := range raw {
				n = n*10 + int(c-'0')
			}
			return n
		}
		h := handle("/tmp/x", "w")
		r.ask(201, "guest-file-write", map[string]any{"handle": h, "buf-b64": []byte("hello world")})
		r.ask(201, "guest-file-close", map[string]int{"handle": h})
		r.refused(201, "guest-file-write", map[string]any{"handle": h, "buf-b64": []byte("x")}, "GenericError", "handle '1001' has not been found")
		h = handle("/tmp/x", "r")
		for _, want := range []struct {
			text string
			eof  bool
		}{{"hello w", false}, {"orld", true}, {"", true}} {
			got := r.ask(201, "guest-file-read", map[string]int{"handle": h, "count": 7})
			text, err := base64.StdEncoding.DecodeString(got["buf-b64"].(string))
			if err != nil || string(text) != want.text || got["eof"] != want.eof {
				t.Errorf("read %v, want %+v", got, want)
			}
		}
		r.refused(201, "guest-file-open", map[string]string{"path": "/run/mayfly/result.json"}, "GenericError",
			"failed to open file '/run/mayfly/result.json' (mode: 'r'): No such file or directory")
	})
}

func TestOrderlyShutdownIsToldAndACutPowerIsNot(t *testing.T) {
	inRoom(t, GuestOptions{Boot: 10 * time.Second, Shutdown: 2 * time.Second}, func(r *room) {
		r.boot(201)
		if err := r.Shutdown(r.t.Context(), 201); err != nil {
			t.Error(err)
		}
		r.powersOff(201, 3*time.Second)
		r.boot(202)
		if err := r.Stop(r.t.Context(), 202); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if len(r.off) != 0 {
			t.Error("a stopped machine was said to have powered off")
		}
		if err := r.Stop(r.t.Context(), 202); err != nil {
			t.Errorf("stopping what is off: %v", err)
		}
	})
}

func TestDiskOutlivesThePowerAndNotTheVM(t *testing.T) {
	inRoom(t, GuestOptions{}, func(r *room) {
		r.boot(201)
		r.run(201, "", "/bin/sh", "-c", "echo left > /tmp/left; mkdir -p /run/x; echo gone > /run/x/gone")
		if err := r.Stop(r.t.Context(), 201); err != nil {
			t.Fatal(err)
		}
		r.power(201)
		r.ask(201, "guest-ping", nil)
		if f := r.run(201, "", "/bin/sh", "-c", "cat /tmp/left; cat /run/x/gone"); string(f.OutData) != "left\n" || f.Code != 1 {
			t.Errorf("after a restart: %+v; /run must be empty, the disk must not", f)
		}
		if err := r.Destroy(r.t.Context(), 201); err != nil {
			t.Fatal(err)
		}
		r.boot(201)
		if f := r.run(201, "", "/bin/sh", "-c", "ls /tmp"); len(f.OutData) != 0 {
			t.Errorf("the next VM of that number has %q", f.OutData)
		}
		if ids := r.Disks(); len(ids) != 1 || ids[0] != 201 {
			t.Errorf("disks %v", ids)
		}
	})
}
