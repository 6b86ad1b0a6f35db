package handoff

// FillFile is fillFile, for the test of file systems that have modes of their own.
var FillFile = fillFile
