package pve

import "maps"

// handler answers one method of the schema; parameters and privileges that the schema names are checked before it.
type handler = func(*call) (any, error)

// routes are all handlers by method and path, as the schema writes them.
func (s *Server) routes() map[string]handler {
	all := map[string]handler{
		"GET /access/permissions": s.getPermissions,

		"GET /cluster/tasks":                    s.clusterTasks,
		"GET /nodes/{node}/tasks":               s.listTasks,
		"GET /nodes/{node}/tasks/{upid}":        s.taskIndex,
		"DELETE /nodes/{node}/tasks/{upid}":     s.stopTask,
		"GET /nodes/{node}/tasks/{upid}/log":    s.taskLog,
		"GET /nodes/{node}/tasks/{upid}/status": s.taskStatus,
	}
	for _, more := range []map[string]handler{s.vmRoutes(), s.agentRoutes(), s.containerRoutes(), s.storageRoutes(), s.clusterRoutes(), s.haRoutes(), s.mappingRoutes()} {
		maps.Copy(all, more)
	}
	return all
}

// vmRoutes are a VM's life and configuration.
func (s *Server) vmRoutes() map[string]handler {
	const vm = "/nodes/{node}/qemu/{vmid}"
	return map[string]handler{
		"GET /nodes/{node}/qemu":  s.listVMs,
		"POST /nodes/{node}/qemu": s.createVM,

		"GET " + vm: index("subdir", "config", "cloudinit", "pending", "status", "unlink", "vncproxy", "termproxy", "migrate", "resize",
			"move", "rrd", "rrddata", "monitor", "agent", "snapshot", "spiceproxy", "sendkey", "firewall", "mtunnel", "remote_migrate"),
		"DELETE " + vm: s.destroyVM,

		"GET " + vm + "/config":           s.getConfig,
		"PUT " + vm + "/config":           s.putConfig,
		"POST " + vm + "/config":          s.postConfig,
		"GET " + vm + "/pending":          s.getPending,
		"GET " + vm + "/firewall/options": s.vmFirewallOptions,
		"GET " + vm + "/feature":          s.feature,
		"PUT " + vm + "/resize":           s.resizeDisk,
		"POST " + vm + "/clone":           s.cloneVM,
		"POST " + vm + "/template":        s.makeTemplate,

		"GET " + vm + "/status":           s.statusIndex,
		"GET " + vm + "/status/current":   s.vmCurrent,
		"POST " + vm + "/status/start":    s.startVM,
		"POST " + vm + "/status/stop":     s.stopVM,
		"POST " + vm + "/status/shutdown": s.shutdownVM,
		"POST " + vm + "/status/reboot":   s.rebootVM,
		"POST " + vm + "/status/reset":    s.resetVM,
	}
}
