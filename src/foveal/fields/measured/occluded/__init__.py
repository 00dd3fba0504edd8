"""Fields measured by occlusion: how a unit answers when patches of its own box are taken away."""
