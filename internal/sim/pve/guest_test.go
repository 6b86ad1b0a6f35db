package pve

import (
	"context"
	"strings"
	"testing"
	"time"

	"mayfly/internal/runner"
)

// builder is a guest that writes what it was seeded with, and powers off; its clones say what they are.
func builder(ctx context.Context, g *Guest) {
	if g.Template != 0 {
		g.SetAgent(true)
		g.SetProgram(func(argv []string, stdin []byte) (int, string, string) {
			built, _ := g.ReadFile("/opt/built")
			return 3, string(built) + strings.Join(argv, " ") + string(stdin), "oh"
		})
		return
	}
	g.WriteFile("/opt/built", []byte("from "+g.Image+" with "+string(g.Media["ide2"])+"\n"))
	g.WriteFile("/run/progress", []byte("half\n"))
	if !sleepFor(ctx, time.Minute) {
		return
	}
	g.SetAgent(true)
	if !sleepFor(ctx, time.Hour) {
		return
	}
	g.PowerOff()
}

func sleepFor(ctx context.Context, d time.Duration) bool { return pause(ctx, d) == nil }

func TestGuestOfAnImportedMachineIsSeenThroughItsAgentAndItsPower(t *testing.T) {
	w := web{"http://images.example/x": serves(qcow2(runner.GiB, 512))}
	bubble(t, Options{Guest: builder, Web: w}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.task("POST", downloadPath, "content=import", "filename=x.qcow2", "url=http://images.example/x")
		admin.wait(admin.upload("local", false, part{"content", "", "iso"}, part{"filename", "seed.iso", "SEED"}).text())
		if exit := admin.task("POST", "/nodes/pve1/qemu", "vmid=112", "scsi0=local-lvm:0,import-from=local:import/x.qcow2",
			"ide2=local:iso/seed.iso,media=cdrom", "agent=1"); exit != "OK" {
			t.Fatal(exit)
		}
		admin.task("POST", vmPath("112", "/status/start"))
		admin.must("500 QEMU guest agent is not running", "POST", vmPath("112", "/agent/ping"))
		time.Sleep(time.Minute)
		admin.must("200 OK", "POST", vmPath("112", "/agent/ping"))
		if got := admin.call("GET", vmPath("112", "/agent/file-read"), "file=/run/progress").object()["content"]; got != "half\n" {
			t.Errorf("progress %q", got)
		}
		time.Sleep(time.Hour)
		if st := admin.call("GET", vmPath("112", "/status/current")).object()["status"]; st != "stopped" {
			t.Errorf("after its power-off it is %v", st)
		}
		admin.task("POST", vmPath("112", "/template"))
		if exit := admin.task("POST", vmPath("112", "/clone"), "newid=113"); exit != "OK" {
			t.Fatal(exit)
		}
		admin.task("POST", vmPath("113", "/status/start"))
		time.Sleep(time.Second)
		pid := admin.must("200 OK", "POST", vmPath("113", "/agent/exec"), "command=/bin/sh", "command=x", "input-data=in").object()["pid"]
		if pid == nil {
			t.Fatal("no pid")
		}
		status := admin.call("GET", vmPath("113", "/agent/exec-status"), "pid=701").object()
		if status["exitcode"] != 3.0 || status["out-data"] != "from local:import/x.qcow2 with SEED\n/bin/sh xin" || status["err-data"] != "oh" {
			t.Errorf("exec: %v", status)
		}
		if exit := admin.task("POST", vmPath("113", "/status/stop")); exit != "OK" {
			t.Error(exit)
		}
	})
}

func TestGuestEndsWhenItsMachineIsStoppedAndWhenTheServerCloses(t *testing.T) {
	ended := make(chan string, 2)
	guest := func(ctx context.Context, g *Guest) {
		<-ctx.Done()
		g.PowerOff() // too late: nothing happens
		ended <- g.Name
	}
	w := web{"http://images.example/x": serves(qcow2(runner.GiB, 512))}
	bubble(t, Options{Guest: guest, Web: w}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.task("POST", downloadPath, "content=import", "filename=x.qcow2", "url=http://images.example/x")
		for _, id := range []string{"112", "113"} {
			admin.task("POST", "/nodes/pve1/qemu", "vmid="+id, "name=g"+id, "scsi0=local-lvm:0,import-from=local:import/x.qcow2")
			admin.task("POST", vmPath(id, "/status/start"))
		}
		admin.task("POST", vmPath("112", "/status/stop"))
		if got := <-ended; got != "g112" {
			t.Errorf("%s ended", got)
		}
		admin.task("POST", vmPath("112", "/status/start")) // again
		s.Close()
		first, second := <-ended, <-ended
		if first+second != "g112g113" && first+second != "g113g112" {
			t.Errorf("%s and %s ended", first, second)
		}
	})
}
