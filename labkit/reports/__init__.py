"""Pages and figures about a model: `run` when a training ends, `evaluation` for a careful look."""
