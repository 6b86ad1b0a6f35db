package gh

type faultList struct{}

func newFaultList() *faultList { return &faultList{} }
