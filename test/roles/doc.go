// Package roles reads docs/roles.yaml: the privileges that each command's token needs. Tests give tokens exactly these, and expect a lost
// one to be named, so that no test takes its expectation from the code that it tries.
package roles
