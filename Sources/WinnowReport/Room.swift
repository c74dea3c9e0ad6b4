// Placeholder until this room is furnished; delete with the first file.
