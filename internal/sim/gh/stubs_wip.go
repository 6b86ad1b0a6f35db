package gh

// Placeholders while the stand-in is being written; each goes when the real thing comes. None may be left.

func (s *Server) removeLabel(*call) reply       { return reply{} }
func (s *Server) clearLabels(*call) reply       { return reply{} }
func (s *Server) setLabels(*call) reply         { return reply{} }
func (s *Server) addLabels(*call) reply         { return reply{} }
func (s *Server) listLabels(*call) reply        { return reply{} }
func (s *Server) deleteRunner(*call) reply      { return reply{} }
func (s *Server) getRunner(*call) reply         { return reply{} }
func (s *Server) removeToken(*call) reply       { return reply{} }
func (s *Server) registrationToken(*call) reply { return reply{} }
func (s *Server) generateJIT(*call) reply       { return reply{} }
func (s *Server) listDownloads(*call) reply     { return reply{} }
func (s *Server) listRunners(*call) reply       { return reply{} }
func (s *Server) register(*call) reply          { return reply{} }
func (s *Server) createGroup(*call) reply       { return reply{} }
func (s *Server) listGroups(*call) reply        { return reply{} }
func (s *Server) runner(*call) reply            { return reply{} }
func (s *Server) door(*call) reply              { return reply{} }
func (w *world) group(string, int64) *group     { return nil }
