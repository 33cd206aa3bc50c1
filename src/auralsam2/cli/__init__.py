"""The room `apps`: commands. Each parses its arguments, calls the package, shows what came of it."""
