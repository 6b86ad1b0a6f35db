package cli

import (
	"context"

	"mayfly/internal/config"
)

// imageKeeper builds images by schedule beside the runners; nil where nothing is scheduled. It shares the clients and
// their limits, so that a build never keeps a job from a node's daemon workers for long.
func (a *app) imageKeeper(c *config.Config, both clients) (func(ctx, told context.Context), error) {
	if c.Image.Schedule == "" {
		return nil, nil
	}
	spec := imageSpec(c)
	b, err := a.newBuilder(both, spec, logBuild(a.logger))
	if err != nil {
		return nil, err
	}
	s, err := a.scheduled(&images{b, both, c, spec}, imageNames(c), imageBuild{})
	if err != nil {
		return nil, usageError{err}
	}
	return func(ctx, told context.Context) {
		// A signal interrupts a build, whose clean-up takes seconds; so does whatever else ends the fleet.
		building, cancel := context.WithCancel(told)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		s.Run(building)
	}, nil
}
