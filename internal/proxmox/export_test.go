package proxmox

import "time"

// SetPause shortens the pause before a read is sent again.
func (c *Client) SetPause(d time.Duration) { c.firstPause = d }
