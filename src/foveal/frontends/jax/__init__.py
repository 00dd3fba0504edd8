"""JAX functions and Flax modules, through their jaxprs."""
