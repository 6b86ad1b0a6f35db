package pve

import "time"

// SetClock has the nodes' clocks, which tasks and the Date of replies show, be ahead of the real time; negative is behind. A
// client whose own clock has jumped back sees the same.
func (s *Server) SetClock(ahead time.Duration) { s.ahead.Store(int64(ahead)) }

// clock is the time that the nodes' clocks show.
func (s *Server) clock() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
