"""A package, unlike its neighbours, so that what stands for all of its tests goes when they are over."""
