"""Small graphs for tests of the compiler."""
